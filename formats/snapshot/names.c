#include "formats/snapshot/snapshot.h"

const struct snapshot_stream *snapshot_stream_of(const struct snapshot *s, enum stream_kind kind)
{
    for (size_t i = 0; i < s->n_streams; i++)
        if (s->streams[i].kind == kind)
            return &s->streams[i];
    return NULL;
}

const char *snapshot_level_name(enum snapshot_level l)
{
    switch (l) {
    case LEVEL_FULL:
        return "full";
    case LEVEL_DIFFERENTIAL:
        return "differential";
    case LEVEL_INCREMENTAL:
        return "incremental";
    }
    return "unknown";
}

const char *snapshot_state_name(enum snapshot_state s)
{
    switch (s) {
    case STATE_COMPLETE:
        return "complete";
    case STATE_EXCEPTIONS:
        return "exceptions";
    case STATE_INCOMPLETE:
        return "incomplete";
    }
    return "unknown";
}

const char *snapshot_stream_kind_name(enum stream_kind k)
{
    switch (k) {
    case STREAM_TREE:
        return "tree";
    case STREAM_BLOB:
        return "blob";
    case STREAM_DISK:
        return "disk";
    case STREAM_EXCEPTIONS:
        return "exceptions";
    case STREAM_BLOCK_HASHES:
        return "block-hashes";
    }
    return "unknown";
}
