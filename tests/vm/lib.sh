# A virtual machine with a kernel of the distribution's, busybox and our binary. Source it after lib.sh.

GUEST=$("$ROOT/tests/vm/kernel.sh")
case $(uname -m) in
  x86_64) QEMU=(qemu-system-x86_64 -machine pc) SERIAL=ttyS0 ;;
  aarch64) QEMU=(qemu-system-aarch64 -machine virt) SERIAL=ttyAMA0 ;;
  *) fail "no virtual machine for $(uname -m)" ;;
esac
CPU=max
# With the processor's help, if it offers any.
grep -qwE "vmx|svm" /proc/cpuinfo && [ -w /dev/kvm ] && QEMU+=(-accel kvm) && CPU=host

# What runs in the machine: busybox, the modules, the binary and its libraries.
make_initramfs() {
  local root="$WORK/root" file
  mkdir -p "$root"/{bin,proc,dev,data,etc,tmp}
  cp "$(command -v busybox)" "$root/bin/"
  cp -r "$GUEST/modules" "$root/"
  cp "$ROOT/tests/vm/init" "$root/init"
  strip -o "$root/bin/decapod" "$DECAPOD"
  for file in $(ldd "$DECAPOD" | grep -o '/[^ ]*'); do
    mkdir -p "$root$(dirname "$file")"
    cp -L "$file" "$root$file"
  done
  (cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null) >"$WORK/initramfs"
  rm -r "$root"
}

# boot KERNEL-ARGUMENTS QEMU-ARGUMENTS...: starts the machine with $WORK/initramfs; MACHINE is its process, and what it
# says goes to $WORK/console. What is no option of the kernel, init gets as environment.
boot() {
  local arguments=$1
  shift
  "${QEMU[@]}" -cpu "$CPU" -smp 2 -m 1024 -nodefaults -display none -no-reboot -serial "file:$WORK/console" \
    -kernel "$GUEST/vmlinuz" -initrd "$WORK/initramfs" \
    -append "console=$SERIAL panic=-1 no_timer_check quiet $arguments" "$@" &
  MACHINE=$!
  STARTED+=("$MACHINE")
}
