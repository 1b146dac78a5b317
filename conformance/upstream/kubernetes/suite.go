// Package kubernetes keeps upstream's end-to-end suite in go.mod and go.sum.
// The programs are tool lines there; a test binary cannot be one.
package kubernetes

import _ "k8s.io/kubernetes/test/e2e"
