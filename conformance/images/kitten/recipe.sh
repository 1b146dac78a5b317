refs registry.k8s.io/e2e-test-images/kitten:1.8
config -entrypoint /agnhost -cmd test-webserver -port 80
rootfs() {
	base
	upstream agnhost /agnhost
	upstream_file test/images/kitten/html/kitten.jpg /kitten.jpg
	upstream_file test/images/kitten/html/data.json /data.json
	# A test of image volumes reads which system it was made from upstream.
	echo 'PRETTY_NAME="stand-in for Alpine Linux"' >"$root/etc/os-release"
}
