#!/usr/bin/env bash
# Makes the suite's images under their upstream names, without a registry and
# without root, and prints the path of each archive on its own line.
#
#   build.sh [NAME ...]     NAME is a folder here; without names: all of them
#
# The archives are ${DECAPOD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/decapod}/images/NAME-TAG.tar.
# One that is newer than all it is made from is kept. Two runs at once are safe.
#
# An image is a folder with a recipe.sh: `refs`, `config`, and a function
# `rootfs` made of the words below. Programs come from ../upstream, everything
# else from Debian's packages (needs apt-get with package lists, and cc for C).
set -euo pipefail
umask 022

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${DECAPOD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/decapod}

# === words of a recipe: what the image is called and how it starts ===

refs() { refs=("$@"); }     # full names with tags; each gets an archive
config() { config=("$@"); } # flags of mkimage

# === words of rootfs, which fill $root ===

# A file of the image's folder: name there, path in the image, mode.
file() { install -D -m "${3:-644}" "$here/$image/$1" "$root$2"; }

# One of upstream's programs: name, path in the image, mode.
upstream() {
	local program
	program=$("$here/../upstream/build.sh" "$1")
	install -D -m "${3:-755}" "$program" "$root$2"
}

# A file of upstream's module: name there, path in the image.
upstream_file() {
	local module
	module=$(cd "$here/../upstream/kubernetes" && export GOWORK=off && go mod download k8s.io/kubernetes &&
		go list -m -f '{{.Dir}}' k8s.io/kubernetes)
	install -D -m 644 "$module/$1" "$root$2"
}

# A C file of the image's folder: name there, path in the image.
compile() { cc -Os -static -s -Wall -Wextra -Werror -o "$root$2" "$here/$image/$1"; }

# A symbolic link: target, path in the image.
link() { ln -s "$1" "$root$2"; }

# A small root file system: the usual folders and accounts, and busybox.
base() {
	local dir applet
	for dir in dev etc home proc root run sys tmp usr/bin usr/lib usr/lib64 usr/sbin usr/share var/log var/tmp; do
		mkdir -p "$root/$dir"
	done
	for dir in bin sbin lib lib64; do link usr/$dir /$dir; done
	link ../run /var/run
	chmod 1777 "$root/tmp" "$root/var/tmp"
	chmod 700 "$root/root"
	printf '%s\n' root:x:0:0:root:/root:/bin/sh daemon:x:1:1:daemon:/:/bin/false \
		www-data:x:33:33:www-data:/var/www:/bin/false nobody:x:65534:65534:nobody:/:/bin/false >"$root/etc/passwd"
	printf '%s\n' root:x:0: daemon:x:1: www-data:x:33: nogroup:x:65534: >"$root/etc/group"
	echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
	packages busybox-static
	for applet in $("$root/bin/busybox" --list); do
		[[ -e $root/bin/$applet ]] || link busybox "/bin/$applet"
	done
}

# Debian's packages, with those they need to run; a file replaces a link to busybox.
packages() {
	local -a debs
	local deb path
	mapfile -t debs < <(closure "$@" | download)
	((${#debs[@]})) || { echo "build.sh: no packages for: $*" >&2 && return 1; }
	for deb in "${debs[@]}"; do
		# Not dpkg-deb -x: it replaces the links to /usr with folders.
		dpkg-deb --fsys-tarfile "$deb" | tar -x -p -C "$root" --keep-directory-symlink --no-same-owner \
			--exclude='./usr/share/doc*' --exclude='./usr/share/man' --exclude='./usr/share/locale' \
			--exclude='./usr/share/info' --exclude='./usr/share/lintian' --exclude='./usr/share/bash-completion' \
			--exclude='./usr/lib/*/gconv' --exclude='./lib/*/gconv' --exclude='./usr/lib/locale'
	done
}

# What packages depend on only to be installed, not to run.
install_only=' adduser base-files debconf debianutils dpkg gcc-12-base init-system-helpers install-info iproute2
libsasl2-modules-db lsb-base mawk readline-common sensible-utils sysvinit-utils tar ucf '

# Prints the names of some packages and of what they depend on, sorted.
closure() {
	local -A seen=()
	local -a todo=("$@")
	local package
	while ((${#todo[@]})); do
		for package in "${todo[@]}"; do seen[$package]=1; done
		# Of alternatives, which are marked with a bar, the first is taken.
		mapfile -t todo < <(apt-cache depends --important "${todo[@]}" | awk '
			$1 ~ /Depends:$/ && $2 !~ /^</ && !other { print $2 }
			{ other = /^ \|/ }' | sort -u)
		for package in "${!todo[@]}"; do
			[[ -v seen[${todo[package]}] || $install_only =~ [[:space:]]${todo[package]}[[:space:]] ]] && unset "todo[$package]"
		done
	done
	printf '%s\n' "${!seen[@]}" | sort
}

# Reads names of packages, prints the files they were downloaded to.
download() {
	local -a names debs apt=(apt-get download -q -o APT::Sandbox::User=root)
	mapfile -t names
	# Asked in a folder without packages: apt-get is silent about those it sees.
	mapfile -t debs < <(cd "$work" && "${apt[@]}" --print-uris "${names[@]}" | awk '{ print $2 }' | sort)
	mkdir -p "$cache/images/debs"
	cd "$cache/images/debs"
	ls "${debs[@]}" >/dev/null 2>&1 || "${apt[@]}" "${names[@]}" >&2
	printf "$PWD/%s\n" "${debs[@]}"
}

# === making ===

archive() { echo "$cache/images/$image-${1##*:}.tar"; } # full name

# A digest of all that images are made from.
inputs() {
	(cd "$here/.." && find images upstream/*/go.mod -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1)
}

# Is the archive there, and made from what is here now?
fresh() { [[ -e $1 && $(cat "$1.inputs" 2>/dev/null) == "$inputs" ]]; }

make_missing() {
	local ref path work='' started=$SECONDS root
	for ref in "${refs[@]}"; do
		path=$(archive "$ref")
		! fresh "$path" || continue
		if [[ -z $work ]]; then
			work=$(mktemp -d "$cache/images/.$image.XXXXXX")
			# shellcheck disable=SC2064 # the folder as it is now
			trap "rm -rf '$work'" EXIT
			root=$work/root
			mkdir "$root"
			rootfs
			(cd "$here/mkimage" && GOWORK=off go build -trimpath -buildvcs=false -o "$work/mkimage" .)
		fi
		"$work/mkimage" -ref "$ref" -root "$root" -out "$work/image.tar" "${config[@]}"
		rm -f "$path.inputs"
		mv "$work/image.tar" "$path"
		echo "$inputs" >"$path.inputs"
		echo "made $ref: $((SECONDS - started)) s, $(($(stat -c %s "$path") / 1000)) kB" >&2
	done
}

provide() { # name
	[[ -f $here/$1/recipe.sh ]] || { echo "build.sh: no image is named $1" >&2 && return 2; }
	image=$1 refs=() config=()
	source "$here/$1/recipe.sh"
	mkdir -p "$cache/images"
	(flock 9 && make_missing 9>&-) 9>"$cache/images/.$1.lock"
	for ref in "${refs[@]}"; do archive "$ref"; done
}

inputs=$(inputs)
recipes=("$here"/*/recipe.sh)
names=("${recipes[@]%/recipe.sh}")
for name in "${@:-${names[@]##*/}}"; do provide "$name"; done
