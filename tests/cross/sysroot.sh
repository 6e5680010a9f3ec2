#!/bin/bash
# Make a root folder with the libraries that cross-built programs link with and run on, from Debian's own packages of that
# architecture. The machine's package database is not touched.
# usage: sysroot.sh aarch64|s390x DIR        idempotent; prints nothing when all is there
set -euo pipefail
arch=$1 dir=$(realpath -m "$2")
case $arch in
    aarch64) deb=arm64 triplet=aarch64-linux-gnu ;;
    s390x) deb=s390x triplet=s390x-linux-gnu ;;
    *) echo "sysroot.sh: unknown architecture $arch" >&2; exit 2 ;;
esac
[ -e "$dir/.complete" ] && exit 0
mkdir -p "$dir/.apt/lists/partial" "$dir/.apt/cache/archives/partial" "$dir/.apt/deb"
cd "$dir"
# The main suite alone: its versions fit each other on every architecture.
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep -oE 'https?://[^ ]+/debian/?( |$)' | head -n 1 | tr -d ' ' || true)
[ -n "$mirror" ] || { echo "sysroot.sh: no Debian mirror in the package manager's sources" >&2; exit 1; }
printf 'deb [arch=%s signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s bookworm main\n' \
    "$deb" "$mirror" >.apt/sources.list
: >.apt/status
options=(-oAPT::Architecture="$deb" -oAPT::Architectures::="$deb" -oDir::Etc::sourcelist="$dir/.apt/sources.list"
    -oDir::Etc::sourceparts=/dev/null -oDir::State::lists="$dir/.apt/lists" -oDir::Cache="$dir/.apt/cache"
    -oDir::State::status="$dir/.apt/status" -oAPT::Sandbox::User=root)
apt-get "${options[@]}" -qq update
cd .apt/deb
apt-get "${options[@]}" -qq download libc6 libc6-dev libgcc-s1 libcrypt1 libssl3 libssl-dev libzstd1 libzstd-dev libxxhash0 \
    libxxhash-dev libargon2-1 libargon2-dev libjansson4 libjansson-dev libcmocka0 libcmocka-dev linux-libc-dev
for d in *.deb; do dpkg -x "$d" "$dir"; done
# Absolute links inside the folder would lead out of it.
cd "$dir"
find . -xtype l -lname '/*' | while read -r l; do ln -sfn "$dir$(readlink "$l")" "$l"; done
# Runs a program with those libraries. Not with qemu's -L: then / is the folder for a program that opens it.
cat >run <<EOF
#!/bin/sh
exec qemu-$arch-static $(echo "$dir"/lib/ld*.so.1) --library-path $dir/lib/$triplet:$dir/usr/lib/$triplet "\$@"
EOF
chmod +x run
cat >meson.ini <<EOF
[binaries]
c = ['$triplet-gcc']
ar = '$triplet-ar'
strip = '$triplet-strip'
pkgconfig = 'pkg-config'
exe_wrapper = ['$dir/run']
[built-in options]
c_args = ['--sysroot=$dir']
c_link_args = ['--sysroot=$dir']
[properties]
sys_root = '$dir'
pkg_config_libdir = '$dir/usr/lib/$triplet/pkgconfig:$dir/usr/share/pkgconfig'
[host_machine]
system = 'linux'
cpu_family = '$arch'
cpu = '$arch'
endian = '$([ "$arch" = s390x ] && echo big || echo little)'
EOF
rm -rf .apt/lists .apt/cache
touch .complete
