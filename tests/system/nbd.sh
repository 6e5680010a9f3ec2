#!/bin/bash
# Streams and files of a snapshot over NBD, seen by the tools that people use: the same bytes and holes, one error for damage and never wrong
# bytes, nothing left behind whoever is killed, and no secret where others see it.
. "$(dirname "$0")/lib.sh" nbd
need jq nbdkit nbdinfo nbdcopy qemu-img qemu-io openssl python3 pgrep
python=
for p in python3 /usr/bin/python3; do ! $p -c 'import nbd' 2>/dev/null || python=$p; done
[ -n "$python" ] || skip "needs python3-libnbd"
"$BKCTL" version --json | jq -e '.features | index("nbd")' >/dev/null || skip "built without nbdkit"
export TMPDIR=$W XDG_RUNTIME_DIR=$W
S=$W/source
mkdir "$S"
python3 - "$W" <<'END'
import random, sys
random.seed(7)
with open(sys.argv[1] + "/disk", "wb") as f: # 96 MiB, a third of it holes, one MiB of zeroes
    f.truncate(96 << 20)
    for i in range(96):
        if i % 3 != 2:
            f.seek(i << 20)
            f.write(bytes(1 << 20) if i == 48 else random.randbytes(512 << 10) + b"text%03d\n" % i * (512 << 10 >> 3))
END
truncate -s 96M "$W/disk"
cp --sparse=always "$W/disk" "$S/file"
head -c 1234567 /dev/urandom >"$S/odd"
: >"$S/empty"
ln -s odd "$S/link"
repo
bk backup -q --name disk --stdin-from-command sda -- cat "$W/disk"
bk backup -q --name other --stdin-from-command 'two words%' -- cat "$S/odd"
bk backup -q --name tree "$S"

# No folder, no process, no session of ours is left: gone PID...
gone() {
    local i p left
    for i in {1..100}; do
        left=$(find "$W" -mindepth 1 -maxdepth 1 -name 'bkctl-nbd.*')
        for p in "$@"; do ! kill -0 "$p" 2>/dev/null || left+=" $p"; done
        ! in_files || left+=$(ls "$R/sessions")
        [ -n "$left" ] || return 0
        sleep 0.1
    done
    fail "left behind: $left"
}
# Serve in the background until the URI is there, in $uri; the processes are $server and $kit: serve OPERANDS AND OPTIONS
serve() {
    : >"$W/served"
    "$BKCTL" --repo "$R" --key-file "$W/key" nbd "$@" >"$W/served" 2>"$W/log" </dev/null &
    server=$!
    at_exit "kill $server 2>/dev/null"
    local i
    for i in {1..200}; do
        [ ! -s "$W/served" ] || break
        kill -0 $server 2>/dev/null || { cat "$W/log"; fail "it does not serve: $*"; }
        sleep 0.05
    done
    uri=$(head -n 1 "$W/served") kit=$(pgrep -P $server)
}
status_of() { # PID: its exit status into $rc
    rc=0
    wait "$1" || rc=$?
}

step "the same bytes"
expect 0 bk nbd disk@latest -- sh -c "nbdcopy \"\$uri\" $W/out && [ \"\$uri\" = \"\$BKCTL_NBD_URI\" ]"
cmp "$W/disk" "$W/out"
expect 0 bk nbd disk@latest:sda -- sh -c "nbdcopy --requests=1 --connections=1 \"\$uri\" $W/out"
cmp "$W/disk" "$W/out"
expect 0 bk nbd disk@latest -- sh -c "qemu-img compare -f raw -F raw \"\$uri\" $W/disk"
expect 0 bk nbd "tree@latest:$S/file" -- sh -c "qemu-img convert -f raw -O qcow2 \"\$uri\" $W/out.qcow2"
expect 0 qemu-img compare -f qcow2 -F raw "$W/out.qcow2" "$W/disk"
expect 0 bk nbd "tree@latest:$S/odd" -- sh -c "nbdcopy \"\$uri\" $W/out"
cmp "$S/odd" "$W/out"
expect 0 bk nbd "tree@latest:$S/empty" -- sh -c 'nbdinfo --size "$uri"'
[ "$(cat "$W/out")" = 0 ] || fail "an empty file of $(cat "$W/out") bytes"
expect 0 bk nbd --memory 64MiB disk@latest -- $python -c "
import nbd, os, random
h = nbd.NBD()
h.connect_uri(os.environ['uri'])
d = open('$W/disk', 'rb').read()
random.seed(3)
for i in range(600):
    n = random.choice([1, 512, 4096, 4096, 65536, 1 << 20])
    at = random.randrange(len(d) - n)
    assert h.pread(n, at) == d[at:at + n], (n, at)
assert h.pread(32 << 20, 5) == d[5:5 + (32 << 20)]"
gone

step "holes and zeroes"
expect 0 bk nbd "tree@latest:$S/file" -- sh -c 'nbdinfo --map --json "$uri"'
jq -e '[.[] | select(.type == 3).length] | add == 33 * 1048576' "$W/out" >/dev/null || { tail -n 5 "$W/out"; fail "the holes of the file"; }
jq -e 'map(.length) | add == 96 * 1048576' "$W/out" >/dev/null || fail "the map is not whole"
expect 0 bk nbd "tree@latest:$S/file" -- sh -c 'qemu-img map --output=json -f raw "$uri"' # asks for one at a time
jq -e '(map(.length) | add == 96 * 1048576) and ([.[] | select(.zero).length] | add == 33 * 1048576)' "$W/out" >/dev/null || { tail -n 5 "$W/out"; fail "the map, extent by extent"; }
expect 0 bk nbd disk@latest -- sh -c 'nbdinfo --map --json "$uri"'
jq -e '[.[] | select(.type == 2).length] | add > 20 * 1048576' "$W/out" >/dev/null || { tail -n 5 "$W/out"; fail "the zeroes of the stream"; }

step "what it says of itself"
expect 0 bk nbd disk@latest -- sh -c 'nbdinfo --json "$uri"'
jq -e '.exports[0] | .["export-size"] == 96 * 1048576 and .is_read_only and .can_multi_conn and .can_cache and .block_size_minimum == 1
    and .block_size_preferred == 65536 and .block_size_maximum == 8388608' "$W/out" >/dev/null || { cat "$W/out"; fail nbdinfo; }

step "several exports"
serve disk@latest other@latest "tree@latest:$S/odd"
[ "$(wc -l <"$W/served")" = 3 ] || { cat "$W/served"; fail "a URI for each"; }
nbdcopy "$uri" "$W/out"
cmp "$W/disk" "$W/out"
for i in 2 3; do
    nbdcopy "$(sed -n ${i}p "$W/served")" "$W/out"
    cmp "$S/odd" "$W/out"
done
socket=${uri#*socket=}
nbdinfo --list --json "nbd+unix:///?socket=$socket" | jq -e '[.exports[]["export-name"]] | sort == (["sda", "two words%", $f] | sort)' --arg f "${S#/}/odd" >/dev/null || fail "the list"
expect 1 nbdinfo "nbd+unix:///?socket=$socket"
expect 1 nbdinfo "nbd+unix:///nothing?socket=$socket"
! in_files || [ "$(ls "$R/sessions" | wc -l)" -ge 1 ] || fail "no session is held"
[ "$(stat -c %a "${socket%/*}" "$socket" | tr '\n' ' ')" = "700 600 " ] || fail "others may come to the socket: $(stat -c %a "${socket%/*}" "$socket")"
kill -TERM $server
status_of $server
[ $rc = 0 ] || { cat "$W/log"; fail "exit status $rc after SIGTERM"; }
gone $kit

step "--json, and a socket of one's own"
serve --json --socket "$W/my socket" disk@latest
last_json "$W/served" | jq -e '.type == "serving" and .exports[0].name == "sda" and .exports[0].bytes == 96 * 1048576' >/dev/null || { cat "$W/served"; fail "the record"; }
expect 0 nbdinfo "$(jq -r .uri "$W/served")"
expect 4 bk nbd --socket "$W/my socket" disk@latest
kill -INT $kit # not ours to be told: it ends, and bkctl says so
status_of $server
[ $rc = 1 ] || { cat "$W/log"; fail "exit status $rc after nbdkit ended"; }
[ ! -e "$W/my socket" ] || fail "the socket is still there"

step "a socket that another put there"
serve --socket "$W/shared" disk@latest
first=$server first_kit=$kit
rm "$W/shared"
serve --socket "$W/shared" disk@latest
kill -TERM $first
status_of $first
[ "$(nbdinfo --size "$uri")" = $((96 << 20)) ] || fail "the second one's socket went with the first"
kill -TERM $server
status_of $server
gone $first_kit $kit
[ ! -e "$W/shared" ] || fail "the socket is still there"

step "kill -9 of nbdkit, of bkctl"
serve disk@latest
kill -KILL "$kit"
status_of $server
[ $rc = 1 ] && grep -q "signal 9" "$W/log" || { cat "$W/log"; fail "exit status $rc after nbdkit was killed"; }
[ -z "$(find "$W" -mindepth 1 -maxdepth 1 -name 'bkctl-nbd.*')" ] || fail "the folder is still there"
! in_files || rm -f "$R"/sessions/* # what was killed cannot take its session back; prune finds it dead
serve --socket "$W/stays" disk@latest
nbdcopy --requests=2 "$uri" null: 2>/dev/null &
client=$!
kill -KILL $server
status_of $server 2>/dev/null
gone "$kit"
wait $client || true
[ ! -e "$W/stays" ] || fail "the socket is still there"

step "a client that is killed, or hangs up in the middle, takes nobody along"
serve disk@latest
for i in {1..5}; do
    nbdcopy --requests=16 "$uri" null: 2>/dev/null &
    client=$!
    nbdcopy "$uri" "$W/out" &
    other=$!
    sleep 0.0$((i * 2))
    kill -KILL $client 2>/dev/null || true
    wait $client 2>/dev/null || true
    wait $other || fail "the other client's copy"
    cmp "$W/disk" "$W/out"
done
expect 0 $python -c "
import nbd
for i in range(20): # many requests, no answer taken
    h = nbd.NBD()
    h.connect_uri('$uri')
    bufs = [h.aio_pread(nbd.Buffer(1 << 20), i << 20) for i in range(16)]
    del h"
[ "$(nbdinfo --size "$uri")" = $((96 << 20)) ] || { cat "$W/log"; fail "it serves no more"; }
kill -TERM $server
status_of $server
[ $rc = 0 ] || { cat "$W/log"; fail "exit status $rc"; }
gone $kit

step "too many clients"
serve disk@latest
expect 0 $python -c "
import nbd
held = []
try:
    for i in range(100):
        h = nbd.NBD()
        h.connect_uri('$uri')
        held.append(h)
except nbd.Error:
    pass
assert len(held) == 64, len(held)
assert held[0].pread(4096, 0) == held[63].pread(4096, 0)
del held, h"
$python -c "
import socket
s = [socket.socket(socket.AF_UNIX) for i in range(900)] # connect and say nothing
for i in s:
    i.connect('${uri#*socket=}')
while s.pop(0).recv(1) and s: # hung up on, or greeted
    pass" || true
for i in {1..100}; do nbdinfo --size "$uri" >/dev/null 2>&1 && break || sleep 0.1; done # until they are seen to have gone
[ "$(nbdinfo --size "$uri")" = $((96 << 20)) ] || { cat "$W/log"; fail "it serves no more"; }
kill -TERM $server
status_of $server
[ $rc = 0 ] || { cat "$W/log"; fail "exit status $rc"; }
gone $kit

step "a slow store does not keep it from ending"
serve --limit-download 1MiB disk@latest
$python -c "
import nbd
h = nbd.NBD()
h.connect_uri('$uri')
h.pread(64 << 20, 0)" 2>/dev/null &
client=$!
sleep 1
kill -TERM $server
status_of $server
[ $rc = 0 ] && [ ! -s "$W/log" ] || { cat "$W/log"; fail "exit status $rc"; }
wait $client && fail "it waited for the request"
gone $kit

step "-- CMD"
expect 7 bk nbd disk@latest -- sh -c 'exit 7'
expect 127 bk nbd disk@latest -- "$W/no such program"
expect 143 bk nbd disk@latest -- sh -c 'kill -TERM $$'
rc=0
"$BKCTL" --repo "$R" --key-file "$W/key" nbd disk@latest -- sh -c 'kill -9 $(pgrep -P $PPID nbdkit); exec sleep 60' >"$W/out" 2>"$W/err" || rc=$?
[ $rc = 1 ] || { cat "$W/err"; fail "exit status $rc when nbdkit dies under the command"; }
! in_files || rm -f "$R"/sessions/*
gone

step "signals and -- CMD"
mkdir "$W/slow" # nbdkit that takes a while to start
printf '#!/bin/sh\n[ "$1" = --version ] || { : >%s; sleep 2; }\nexec %s "$@"\n' "$W/starting" "$(command -v nbdkit)" >"$W/slow/nbdkit"
chmod +x "$W/slow/nbdkit"
PATH=$W/slow:$PATH "$BKCTL" --repo "$R" --key-file "$W/key" nbd disk@latest -- touch "$W/ran" >"$W/out" 2>"$W/err" &
server=$!
at_exit "kill $server 2>/dev/null"
for i in {1..200}; do [ -e "$W/starting" ] && break || sleep 0.05; done
kill -TERM $server
status_of $server
[ $rc = 16 ] && [ ! -e "$W/ran" ] || { cat "$W/err"; fail "exit status $rc when it was told to end before CMD ran"; }
[ "$(wc -l <"$W/err")" = 1 ] || { cat "$W/err"; fail "it says more than that it was stopped"; }
gone
rm "$W/starting"
PATH=$W/slow:$PATH "$BKCTL" --repo "$R" --key-file "$W/key" nbd disk@latest >"$W/out" 2>"$W/err" &
server=$!
for i in {1..200}; do [ -e "$W/starting" ] && break || sleep 0.05; done
kit=$(pgrep -P $server)
sleep 0.5 # it is told what to serve, and hears it after its start
kill -KILL $server
status_of $server 2>/dev/null
gone $kit
expect 0 $python -c "
import os, pty
pid, tty = pty.fork()
if pid == 0:
    os.execv('$BKCTL', ['bkctl', '--repo', '$R', '--key-file', '$W/key', 'nbd', 'disk@latest', '--', 'sh', '-c', '''
        n=0
        trap 'n=\$((n + 1)); echo caught \$n.' INT
        echo ready
        while [ \$n -lt 2 ]; do sleep 0.1; done
        sleep 0.5
        exit 5'''])
seen = b''
for word in b'ready', b'caught 1.', b'no such word':
    try:
        while word not in seen:
            seen += os.read(tty, 4096)
        os.write(tty, bytes([3])) # Ctrl-C, and all of the terminal's group has it
    except OSError: # the end
        pass
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5, seen
assert seen.count(b'caught') == 2, seen"
gone
trap '' HUP
serve disk@latest
trap - HUP
kill -HUP $server
[ "$(nbdinfo --size "$uri")" = $((96 << 20)) ] || fail "nohup is not heeded"
kill -TERM $server
status_of $server
[ $rc = 0 ] || { cat "$W/log"; fail "exit status $rc after SIGTERM"; }
gone $kit

step "wrong requests"
expect 3 bk nbd disk@latest:sdb
expect 3 bk nbd nothing@latest
expect 3 bk nbd "tree@latest:$S/nothing"
expect 2 bk nbd tree@latest
expect 2 bk nbd "tree@latest:$S"
expect 2 bk nbd "tree@latest:$S/link"
expect 2 bk nbd disk@latest disk@latest
expect 2 bk nbd -- true
expect 2 bk nbd disk@latest --
expect 2 bk nbd --port 10809 disk@latest
expect 2 bk nbd --tls-certs "$W" disk@latest
expect 2 bk nbd --socket "$W/x" --port 10809 --insecure disk@latest
expect 12 bk nbd --socket "$W/$(printf 'x%.0s' {1..120})" disk@latest
head -c 64 /dev/urandom >"$W/wrong"
expect 7 "$BKCTL" --repo "$R" --key-file "$W/wrong" nbd disk@latest
expect 3 "$BKCTL" --repo "$W/nowhere" --key-file "$W/key" nbd disk@latest
mkdir "$W/bin"
ln -s "$(command -v sh)" "$W/bin/sh"
expect 15 env PATH="$W/bin" "$BKCTL" --repo "$R" --key-file "$W/key" nbd disk@latest
grep -q 'install the package nbdkit' "$W/err" || { cat "$W/err"; fail "no word of the package"; }
gone

step "no secret where others see it"
secret=correct-horse-battery-$$
printf '%s\n' "$secret" >"$W/password"
bk key add -q --new-password-file "$W/password" >/dev/null
: >"$W/served"
BKCTL_PASSWORD=$secret BKCTL_TOKEN=token-$secret AWS_SECRET_ACCESS_KEY=aws-$secret "$BKCTL" --repo "$R" nbd disk@latest >"$W/served" 2>"$W/log" &
server=$!
at_exit "kill $server 2>/dev/null"
for i in {1..200}; do [ -s "$W/served" ] && break || sleep 0.05; done
kit=$(pgrep -P $server)
[ -n "$kit" ] || { cat "$W/log"; fail "it does not serve"; }
tr '\0' '\n' <"/proc/$kit/environ" >"$W/environ"
tr '\0' '\n' <"/proc/$kit/cmdline" >"$W/cmdline"
grep -q LISTEN_FDS "$W/environ" || fail "that is not its environment"
! grep -q "$secret" "$W/environ" "$W/cmdline" || fail "nbdkit shows the secret"
! grep -qF "$R" "$W/environ" "$W/cmdline" || fail "nbdkit shows the repository"
expect 0 nbdinfo "$(cat "$W/served")"
kill -TERM $server
status_of $server
[ $rc = 0 ] || fail "exit status $rc"
gone "$kit"

step "TCP and TLS"
port=$((20000 + $$ % 20000))
serve --port $port --insecure disk@latest
[ "$uri" = "nbd://127.0.0.1:$port/sda" ] || [ "$uri" = "nbd://127.0.0.1:$port/" ] || fail "the URI is $uri"
[ "$(nbdinfo --size "$uri")" = $((96 << 20)) ] || fail "over TCP"
kill -TERM $server
status_of $server
C=$W/certs
mkdir "$C"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout "$C/ca-key.pem" -out "$C/ca-cert.pem" 2>/dev/null
printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\n' >"$W/ext"
for who in server client; do
    openssl req -newkey rsa:2048 -nodes -subj "/CN=$who" -keyout "$C/$who-key.pem" -out "$W/$who.csr" 2>/dev/null
    openssl x509 -req -days 2 -in "$W/$who.csr" -CA "$C/ca-cert.pem" -CAkey "$C/ca-key.pem" -CAcreateserial -extfile "$W/ext" -out "$C/$who-cert.pem" 2>/dev/null
done
mkdir "$W/ca-only"
cp "$C/ca-cert.pem" "$W/ca-only"
serve --port $port --address localhost --tls-certs "$C" disk@latest
[ "${uri%%:*}" = nbds ] || fail "the URI is $uri"
[ "$(nbdinfo --size "nbds://localhost:$port/?tls-certificates=$W/ca-only")" = $((96 << 20)) ] || fail "over TLS"
expect 1 nbdinfo --size "nbd://localhost:$port/"
kill -TERM $server
status_of $server
serve --port $port --address localhost --tls-certs "$C" --tls-verify-peer disk@latest
[ "$(nbdinfo --size "nbds://localhost:$port/?tls-certificates=$C")" = $((96 << 20)) ] || fail "over TLS with a certificate"
expect 1 nbdinfo --size "nbds://localhost:$port/?tls-certificates=$W/ca-only"
kill -TERM $server
status_of $server
gone

if in_files; then
    step "damage is an error of its own place"
    R=$W/damaged
    repo
    bk backup -q --name disk --stdin-from-command sda -- cat "$W/disk"
    pack=$(find "$R/data" -type f -printf '%s %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2)
    chmod u+w "$pack"
    printf 'damage' | dd of="$pack" bs=1 seek=$(($(stat -c %s "$pack") / 2)) conv=notrunc status=none
    expect 0 bk nbd disk@latest -- $python -c "
import nbd, os
h = nbd.NBD()
h.connect_uri(os.environ['uri'])
d = open('$W/disk', 'rb').read()
bad, step = 0, 65536
for at in range(0, len(d), step):
    for again in range(2):
        try:
            assert h.pread(step, at) == d[at:at + step], at
        except nbd.Error as e:
            assert e.errno == 'EIO', e
            bad += 1
print(bad // 2)"
    bad=$(cat "$W/out")
    [ "$bad" -ge 1 ] && [ "$bad" -le 16 ] || { cat "$W/err"; fail "$bad blocks cannot be read"; }
    grep -q "^warning: .*bytes .* of 'sda' cannot be read.*data/" "$W/err" || { cat "$W/err"; fail "the log does not name the place and the pack"; }
    [ "$(grep -c "cannot be read" "$W/err")" -le "$bad" ] || { cat "$W/err"; fail "the log repeats itself"; }
    expect 1 bk nbd disk@latest -- sh -c 'nbdcopy "$uri" null:'
    gone
    figure "damage in a pack: $bad of 1536 blocks of 64 KiB in error, the others whole"
fi
