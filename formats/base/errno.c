#include <errno.h>
#include <libintl.h>
#include <string.h>

#include "formats/base/error.h"

/* What the C library calls the errors that files and devices give. Its own translations are in packages that
 * servers often lack; ours come with the program. */
static const struct {
    int sys;
    const char *text;
} texts[] = {
    { EPERM, N_("Operation not permitted") },
    { ENOENT, N_("No such file or directory") },
    { EINTR, N_("Interrupted system call") },
    { EIO, N_("Input/output error") },
    { ENXIO, N_("No such device or address") },
    { E2BIG, N_("Argument list too long") },
    { ENOEXEC, N_("Exec format error") },
    { EBADF, N_("Bad file descriptor") },
    { EAGAIN, N_("Resource temporarily unavailable") },
    { ENOMEM, N_("Cannot allocate memory") },
    { EACCES, N_("Permission denied") },
    { EBUSY, N_("Device or resource busy") },
    { EEXIST, N_("File exists") },
    { EXDEV, N_("Invalid cross-device link") },
    { ENODEV, N_("No such device") },
    { ENOTDIR, N_("Not a directory") },
    { EISDIR, N_("Is a directory") },
    { EINVAL, N_("Invalid argument") },
    { ENFILE, N_("Too many open files in system") },
    { EMFILE, N_("Too many open files") },
    { ENOTTY, N_("Inappropriate ioctl for device") },
    { ETXTBSY, N_("Text file busy") },
    { EFBIG, N_("File too large") },
    { ENOSPC, N_("No space left on device") },
    { ESPIPE, N_("Illegal seek") },
    { EROFS, N_("Read-only file system") },
    { EMLINK, N_("Too many links") },
    { EPIPE, N_("Broken pipe") },
    { ERANGE, N_("Numerical result out of range") },
    { EDEADLK, N_("Resource deadlock avoided") },
    { ENAMETOOLONG, N_("File name too long") },
    { ENOLCK, N_("No locks available") },
    { ENOSYS, N_("Function not implemented") },
    { ENOTEMPTY, N_("Directory not empty") },
    { ELOOP, N_("Too many levels of symbolic links") },
    { ENODATA, N_("No data available") },
    { EBADMSG, N_("Bad message") },
    { EOVERFLOW, N_("Value too large for defined data type") },
    { EILSEQ, N_("Invalid or incomplete multibyte or wide character") },
    { EOPNOTSUPP, N_("Operation not supported") },
    { ENOTCONN, N_("Transport endpoint is not connected") },
    { ETIMEDOUT, N_("Connection timed out") },
    { ECONNREFUSED, N_("Connection refused") },
    { ESTALE, N_("Stale file handle") },
    { EUCLEAN, N_("Structure needs cleaning") },
    { EREMOTEIO, N_("Remote I/O error") },
    { EDQUOT, N_("Disk quota exceeded") },
    { ECANCELED, N_("Operation canceled") },
    { ENOKEY, N_("Required key not available") },
};

const char *bk_text(const char *msgid)
{
    return *msgid ? dgettext("bkctl", msgid) : "";
}

const char *bk_errno_text(int sys, char *buf, size_t len)
{
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i].sys == sys)
            return bk_text(texts[i].text);
    return strerror_r(sys, buf, len);
}
