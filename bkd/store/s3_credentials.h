/* Where the S3 keys come from. The first that is there wins:
 *
 *   1. ?profile=NAME of the URL: that section of the credentials file
 *   2. AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if set, AWS_SESSION_TOKEN
 *   3. BKCTL_S3_CREDENTIALS_COMMAND: a shell command that prints what a section of the file holds
 *   4. the credentials file: AWS_SHARED_CREDENTIALS_FILE or ~/.aws/credentials, section AWS_PROFILE or
 * "default"
 *
 * A section holds aws_access_key_id, aws_secret_access_key, aws_session_token, or credential_process =
 * COMMAND, which prints JSON as the AWS tools want it. One thread. */
#ifndef BKD_STORE_S3_CREDENTIALS_H
#define BKD_STORE_S3_CREDENTIALS_H

#include "bkd/store/s3_sign.h"

/* USAGE when there are none, with a hint; ABSENT for a profile that is not in the file. */
int s3_credentials_load(const char *profile, struct s3_credentials *ret, struct bk_error *err) BK_MUST_CHECK;

/* The lines of a section ("" : those before the first), or JSON when text starts with '{'; false when no keys
 * are in it. ret_command, of at least cap bytes, receives credential_process or "". */
bool s3_credentials_parse(const char *text, const char *section, struct s3_credentials *ret,
                          char *ret_command, size_t cap);

#endif
