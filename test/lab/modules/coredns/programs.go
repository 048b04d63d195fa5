//go:build programs

// Package programs names what the lab builds from this module, so that its dependencies are kept.
package programs

import _ "github.com/coredns/coredns"
