refs registry.k8s.io/etcd:3.6.8-0
config -cmd etcd -port 2379 -port 2380
rootfs() {
	base
	upstream etcd /usr/local/bin/etcd
	upstream etcdctl /usr/local/bin/etcdctl
}
