// Package critools keeps the packages of upstream's CRI suite in go.mod and
// go.sum. crictl is a tool line there; a test binary cannot be one.
package critools

import (
	_ "github.com/onsi/ginkgo/v2"
	_ "sigs.k8s.io/cri-tools/pkg/benchmark"
	_ "sigs.k8s.io/cri-tools/pkg/validate"
)
