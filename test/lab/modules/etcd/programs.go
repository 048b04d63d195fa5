//go:build programs

// Package programs names what the lab builds from this module, so that its dependencies are kept.
package programs

import (
	_ "go.etcd.io/etcd/etcdctl/v3"
	_ "go.etcd.io/etcd/server/v3"
)
