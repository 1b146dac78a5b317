refs registry.k8s.io/e2e-test-images/nautilus:1.8
config -entrypoint /agnhost -cmd test-webserver -port 80
rootfs() {
	base
	upstream agnhost /agnhost
	upstream_file test/images/nautilus/html/nautilus.jpg /nautilus.jpg
	upstream_file test/images/nautilus/html/data.json /data.json
}
