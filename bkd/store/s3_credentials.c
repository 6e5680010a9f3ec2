#include "bkd/store/s3_credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "formats/base/auto.h"

enum { FILE_MAX = 64 << 10, COMMAND_MAX = 1024 };

static bool set(char *out, size_t cap, const char *s, size_t len)
{
    /* a control character would end the header that the value goes into */
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] <= ' ' || s[i] == 127)
            return false;
    if (len == 0 || len >= cap)
        return false;
    memcpy(out, s, len);
    out[len] = '\0';
    return true;
}

static bool set_named(struct s3_credentials *c, const char *name, size_t name_len, const char *value,
                      size_t len)
{
    static const struct {
        const char *ini, *json;
        size_t offset, cap;
    } fields[] = {
        { "aws_access_key_id", "AccessKeyId", offsetof(struct s3_credentials, key), sizeof c->key },
        { "aws_secret_access_key", "SecretAccessKey", offsetof(struct s3_credentials, secret),
          sizeof c->secret },
        { "aws_session_token", "SessionToken", offsetof(struct s3_credentials, token), sizeof c->token },
    };
    for (size_t i = 0; i < BK_COUNT(fields); i++)
        if ((strlen(fields[i].ini) == name_len && strncasecmp(fields[i].ini, name, name_len) == 0) ||
            (strlen(fields[i].json) == name_len && strncmp(fields[i].json, name, name_len) == 0))
            return set((char *)c + fields[i].offset, fields[i].cap, value, len);
    return true;
}

/* One flat object of strings without escapes: what credential_process prints. */
static bool parse_json(const char *p, struct s3_credentials *c)
{
    for (;;) {
        const char *name = strchr(p, '"');
        const char *end = name ? strchr(name + 1, '"') : NULL;
        if (!end)
            return true;
        p = end + 1;
        p += strspn(p, " \t\r\n");
        if (*p++ != ':')
            return false;
        p += strspn(p, " \t\r\n");
        if (*p != '"')
            continue;
        const char *value = p + 1, *close = strchr(value, '"');
        if (!close)
            return false;
        if (!set_named(c, name + 1, (size_t)(end - name - 1), value, (size_t)(close - value)))
            return false;
        p = close + 1;
    }
}

static const char *trim(const char *s, size_t *len)
{
    while (*len && (s[0] == ' ' || s[0] == '\t'))
        s++, --*len;
    while (*len && (s[*len - 1] == ' ' || s[*len - 1] == '\t' || s[*len - 1] == '\r'))
        --*len;
    return s;
}

static void parse_ini(const char *text, const char *section, struct s3_credentials *c, char *command,
                      size_t cap)
{
    bool in = !section[0];
    for (const char *line = text; *line;) {
        size_t whole = strcspn(line, "\n"), len = whole;
        const char *s = trim(line, &len);
        line += whole;
        line += *line == '\n';
        if (len == 0 || s[0] == '#' || s[0] == ';')
            continue;
        if (s[0] == '[') {
            size_t n = len > 1 ? len - 2 : 0;
            const char *name = trim(s + 1, &n);
            in = strlen(section) == n && memcmp(section, name, n) == 0;
            continue;
        }
        const char *eq = in ? memchr(s, '=', len) : NULL;
        if (!eq)
            continue;
        size_t name_len = (size_t)(eq - s), value_len = len - name_len - 1;
        const char *name = trim(s, &name_len), *value = trim(eq + 1, &value_len);
        if (name_len == strlen("credential_process") && memcmp(name, "credential_process", name_len) == 0 &&
            value_len < cap) {
            memcpy(command, value, value_len);
            command[value_len] = '\0';
        }
        (void)!set_named(c, name, name_len, value, value_len);
    }
}

bool s3_credentials_parse(const char *text, const char *section, struct s3_credentials *ret,
                          char *ret_command, size_t cap)
{
    *ret = (struct s3_credentials){ 0 };
    ret_command[0] = '\0';
    if (text[strspn(text, " \t\r\n")] == '{') {
        if (!parse_json(text, ret))
            return false;
    } else {
        parse_ini(text, section, ret, ret_command, cap);
    }
    return ret->key[0] && ret->secret[0];
}

static int run_command(const char *command, struct s3_credentials *ret, struct bk_error *err)
{
    bk_auto(free) char *text = malloc(FILE_MAX + 1);
    char unused[COMMAND_MAX];
    if (!text)
        return bk_fail(err, BK_E_NOMEM, "no memory for S3 credentials");
    fflush(NULL);
    FILE *f = popen(command, "re");
    if (!f)
        return bk_fail_errno(err, errno, "run the command for S3 credentials");
    size_t n = fread(text, 1, FILE_MAX, f);
    int status = pclose(f);
    text[n] = '\0';
    bool good = status == 0 && s3_credentials_parse(text, "", ret, unused, sizeof unused);
    OPENSSL_cleanse(text, n);
    if (status != 0)
        return bk_fail(err, BK_E_FAILED, "the command for S3 credentials failed (status %d)", status);
    if (!good)
        return bk_fail(err, BK_E_USAGE, "the command for S3 credentials printed no keys");
    return 0;
}

static int read_text(const char *path, char *out, struct bk_error *err)
{
    bk_auto(close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return bk_fail_errno(err, errno, "open %s", path);
    size_t n = 0;
    while (n < FILE_MAX) {
        ssize_t k = read(fd, out + n, FILE_MAX - n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return bk_fail_errno(err, errno, "read %s", path);
        if (k == 0)
            break;
        n += (size_t)k;
    }
    out[n] = '\0';
    return 0;
}

static const char *env(const char *name)
{
    const char *v = getenv(name);
    return v && *v ? v : NULL;
}

static int none(struct bk_error *err)
{
    bk_fail(err, BK_E_USAGE, "there are no S3 credentials");
    return bk_hint(err, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile of "
                        "~/.aws/credentials with ?profile=");
}

static int from_file(const char *profile, bool named, struct s3_credentials *ret, struct bk_error *err)
{
    char path[4096], command[COMMAND_MAX];
    const char *file = env("AWS_SHARED_CREDENTIALS_FILE"), *home = env("HOME");
    if (!file && !home)
        return none(err);
    int n = file ? snprintf(path, sizeof path, "%s", file)
                 : snprintf(path, sizeof path, "%s/.aws/credentials", home);
    if (n < 0 || (size_t)n >= sizeof path)
        return none(err);
    if (!file && !named && access(path, F_OK) < 0)
        return none(err);
    bk_auto(free) char *text = malloc(FILE_MAX + 1);
    if (!text)
        return bk_fail(err, BK_E_NOMEM, "no memory for S3 credentials");
    int r = read_text(path, text, err);
    if (r < 0)
        return bk_context(err, "S3 credentials");
    bool good = s3_credentials_parse(text, profile, ret, command, sizeof command);
    OPENSSL_cleanse(text, strlen(text));
    if (good)
        return 0;
    if (command[0])
        return run_command(command, ret, err);
    return bk_fail(err, BK_E_ABSENT, "%s has no keys in its section [%s]", path, profile);
}

int s3_credentials_load(const char *profile, struct s3_credentials *ret, struct bk_error *err)
{
    struct s3_credentials c = { 0 };
    const char *key = env("AWS_ACCESS_KEY_ID"), *secret = env("AWS_SECRET_ACCESS_KEY");
    const char *token = env("AWS_SESSION_TOKEN"), *command = env("BKCTL_S3_CREDENTIALS_COMMAND");
    int r = 0;
    if (profile[0]) {
        r = from_file(profile, true, &c, err);
    } else if (key && secret) {
        if (!set(c.key, sizeof c.key, key, strlen(key)) ||
            !set(c.secret, sizeof c.secret, secret, strlen(secret)) ||
            (token && !set(c.token, sizeof c.token, token, strlen(token))))
            r = bk_fail(err, BK_E_USAGE, "AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY is malformed");
    } else if (command) {
        r = run_command(command, &c, err);
    } else {
        const char *p = env("AWS_PROFILE");
        r = from_file(p ? p : "default", p != NULL, &c, err);
    }
    if (r == 0)
        *ret = c;
    OPENSSL_cleanse(&c, sizeof c);
    return r;
}
