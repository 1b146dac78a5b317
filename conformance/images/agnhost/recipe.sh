refs registry.k8s.io/e2e-test-images/agnhost:2.63.0 registry.k8s.io/e2e-test-images/agnhost:2.55
config -entrypoint /agnhost -cmd pause -port 80 -port 8080 -port 8081 -port 9376 -port 5000

rootfs() {
	base
	packages bash bind9-dnsutils libc-bin curl iperf iproute2 netcat-openbsd
	ln -sf nc.openbsd "$root/bin/nc"
	# Debian's busybox as a shell would run its own nc.
	ln -sf bash "$root/bin/sh"
	mkdir "$root/uploads"
	upstream agnhost /agnhost
	# Tests of the entrypoint run it by this name.
	link agnhost /agnhost-2
	# What it serves HTTPS with.
	upstream_file test/images/agnhost/porter/localhost.crt /localhost.crt
	upstream_file test/images/agnhost/porter/localhost.key /localhost.key
	# A test of supplemental groups knows these.
	echo user-defined-in-image:x:1000:1000::/home/user-defined-in-image:/bin/sh >>"$root/etc/passwd"
	echo user-defined-in-image:x:1000: >>"$root/etc/group"
	echo group-defined-in-image:x:50000:user-defined-in-image >>"$root/etc/group"
	serve pause testing
}

# Puts an image where `agnhost fake-registry-server` looks: name, tag there.
serve() {
	local archive served=$root/var/registry/$1 blob hash digest
	archive=$("$here/build.sh" "$1")
	mkdir -p "$work/served" "$served/manifests"
	tar -x -C "$work/served" -f "$archive"
	digest=$(grep -o 'sha256:[0-9a-f]*' "$work/served/index.json" | head -n 1)
	echo "$digest" >"$served/manifests/$2"
	for blob in "$work"/served/blobs/sha256/*; do
		hash=${blob##*/}
		if [[ $hash == "${digest#*:}" ]]; then
			install -D -m 644 "$blob" "$served/manifests/sha256/${hash:0:2}/$hash/data"
		else
			install -D -m 644 "$blob" "$served/blobs/sha256/${hash:0:2}/$hash/data"
		fi
	done
}
