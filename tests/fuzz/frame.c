#include "formats/pack/frame.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct frame_codec *codec;
    static struct suite_aead *aead;
    struct bk_error err = { 0 };
    const uint8_t key[SUITE_KEY] = { 9 };
    if (!codec &&
        (frame_codec_new(1, &codec, &err) < 0 || suite_aead_new(SUITE_AES256_GCM, key, &aead, &err) < 0))
        __builtin_trap();
    struct frame_header h;
    struct frame_table t;
    bk_auto(bk_buf_clear) struct bk_buf plain = BK_BUF(FRAME_MAX_RAW);
    (void)!frame_check(data, size, &h, &err);
    (void)!frame_open(codec, aead, CHUNK_DATA, 0, data, size, &plain, &err);
    if (frame_table_decode(data, size, &t, &err) == 0 && t.n_chunks) {
        const uint8_t *p;
        size_t len;
        (void)!frame_table_chunk(&t, t.n_chunks - 1, &p, &len, &err);
        (void)!frame_table_chunk(&t, t.n_chunks, &p, &len, &err);
    }
    return 0;
}
