//go:build programs

// This file keeps the dependencies of what the lab builds from this module besides main.go.
package main

import _ "k8s.io/kubernetes/test/images/agnhost"
