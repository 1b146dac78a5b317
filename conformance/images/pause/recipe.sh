refs registry.k8s.io/pause:3.10.2
config -entrypoint /pause -user 65535:65535
rootfs() { compile pause.c /pause; }
