refs registry.k8s.io/e2e-test-images/nginx:1.27-0 registry.k8s.io/e2e-test-images/nginx:1.15-4
config -cmd nginx -cmd -g -cmd 'daemon off;' -port 80
rootfs() {
	base
	packages nginx-light
	rm -r "$root"/etc/nginx/{sites-*,modules-*,conf.d,snippets}
	file nginx.conf /etc/nginx/nginx.conf
	link /dev/stdout /var/log/nginx/access.log
	link /dev/stderr /var/log/nginx/error.log
}
