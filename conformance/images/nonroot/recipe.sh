refs registry.k8s.io/e2e-test-images/nonroot:1.5
config -cmd sh -user 1234
rootfs() { base; }
