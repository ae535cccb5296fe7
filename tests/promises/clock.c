/* A wall clock that a test can set: adds seconds, read from a mapped file, to what the kernel says of the day. Clocks
 * that nobody sets (CLOCK_MONOTONIC) are left alone, which is the point, unless a test puts the file's second number
 * forward: then so many seconds have passed. The file is mapped before the process closes
 * itself off, so that its sandbox is not concerned. cc -shared -fPIC -O1 -o clock.so clock.c */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *offset_s; /* of the day; then what passed */

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("LD_PRELOAD_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *page = mmap(NULL, 2 * sizeof *offset_s, PROT_READ, MAP_SHARED, fd, 0);
    if (page != MAP_FAILED)
        offset_s = page;
    close(fd);
}

static int64_t offset(void) { return offset_s ? *offset_s : 0; }

int clock_gettime(clockid_t clock, struct timespec *at) {
    int result = (int)syscall(SYS_clock_gettime, clock, at);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        at->tv_sec += offset();
    if (result == 0 && clock == CLOCK_MONOTONIC && offset_s)
        at->tv_sec += offset_s[1];
    return result;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    int result = (int)syscall(SYS_gettimeofday, at, zone);
    if (result == 0)
        at->tv_sec += offset();
    return result;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at)
        *at = now.tv_sec;
    return now.tv_sec;
}
