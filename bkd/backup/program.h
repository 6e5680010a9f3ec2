/* What snapshots say wrote them. */
#ifndef BKD_BACKUP_PROGRAM_H
#define BKD_BACKUP_PROGRAM_H

#define PROGRAM_NAME "bkctl"
#ifndef PROGRAM_VERSION
#define PROGRAM_VERSION "0.1.0"
#endif

#endif
