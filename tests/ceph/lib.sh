# A cluster of the test's own, for the tests of this folder: . "$(dirname "$0")/lib.sh" NAME [OPTIONS OF tests/ceph/one start]
#
# Ports lie below those that the kernel gives to clients (32768 and up): no connection of somebody else can have taken one.
#
#   $C   the cluster's folder        one COMMAND ...   tests/ceph/one on it        url POOL NAMESPACE [MORE PARAMETERS]
. "$(dirname "$0")/../system/lib.sh" "$1"
shift
one_program=$(realpath "$(dirname "$0")/one")
need ceph-mon ceph-osd ceph rados jq rsync
"$BKCTL" version --json | jq -e '.features | index("rados")' >/dev/null || skip "built without RADOS"
C=$W/ceph
one() {
    local what=$1
    shift
    "$one_program" "$what" "$C" "$@"
}
url() { echo "rados://$1/$2?conf=$C/ceph.conf${3:+&$3}"; }

at_exit "'$one_program' stop '$C'"
env PORT=$((17000 + $$ % 100 * 100)) "$@" "$one_program" start "$C"
one pools
