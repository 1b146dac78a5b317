refs registry.k8s.io/e2e-test-images/resource-consumer:1.14
config -entrypoint /consumer -port 8080
rootfs() {
	base
	packages stress
	upstream resource-consumer /consumer
	upstream consume-cpu /consume-cpu/consume-cpu
}
