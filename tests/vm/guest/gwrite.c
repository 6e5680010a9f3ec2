/* gwrite w|c FILE OFFSET LEN SEED: writes, or checks, data that is known from seed and place; in the guest
 * and on the host. Any part can be checked alone. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* splitmix64 */
static uint64_t mix(uint64_t z)
{
    z += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

int main(int argc, char **argv)
{
    static uint64_t b[1 << 14], r[1 << 14];
    if (argc != 6)
        return 2;
    int wr = argv[1][0] == 'w';
    uint64_t off = strtoull(argv[3], 0, 0), len = strtoull(argv[4], 0, 0), seed = strtoull(argv[5], 0, 0);
    int fd = open(argv[2], wr ? O_WRONLY | O_CREAT : O_RDONLY, 0644);
    if (fd < 0) {
        perror(argv[2]);
        return 2;
    }
    for (uint64_t d = 0; d < len;) {
        size_t n = (size_t)(len - d < sizeof b ? len - d : sizeof b);
        for (size_t i = 0; i * 8 < n; i++)
            b[i] = mix(seed * 0x100000001b3ull ^ ((off + d) / 8 + i));
        if (wr ? pwrite(fd, b, n, (off_t)(off + d)) != (ssize_t)n
               : pread(fd, r, n, (off_t)(off + d)) != (ssize_t)n) {
            perror(argv[2]);
            return 2;
        }
        if (!wr && memcmp(r, b, n)) {
            printf("differs near %llu\n", (unsigned long long)(off + d));
            return 1;
        }
        d += n;
    }
    return wr && fsync(fd) ? 2 : 0;
}
