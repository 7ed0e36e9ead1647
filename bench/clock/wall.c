/*
 * A wall clock that can be set for some processes alone: LD_PRELOAD this, and name the clock's file in BENCH_CLOCK.
 * The file has one 64-bit integer: nanoseconds to add to the kernel's clock. The monotonic clock is the kernel's.
 * Programs that these processes start have the same clock, whatever environment they are given.
 */
#define _GNU_SOURCE
#include <alloca.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

static volatile const long long *offset_ns;

__attribute__((constructor)) static void open_clock(void)
{
    const char *path = getenv("BENCH_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *mapped = mmap(NULL, sizeof(long long), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED)
        offset_ns = mapped;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*kernels)(clockid_t, struct timespec *);
    if (!kernels)
        kernels = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = kernels(clock, now);
    if (!failed && offset_ns && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        long long ns = now->tv_sec * SECOND + now->tv_nsec + *offset_ns;
        now->tv_sec = ns / SECOND;
        now->tv_nsec = ns % SECOND;
    }
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec exact;
    (void)zone;
    int failed = clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return failed;
}

time_t time(time_t *now)
{
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (now)
        *now = exact.tv_sec;
    return exact.tv_sec;
}

int execve(const char *path, char *const arguments[], char *const environment[])
{
    static const char *const names[] = {"LD_PRELOAD=", "BENCH_CLOCK="};
    static int (*kernels)(const char *, char *const[], char *const[]);
    if (!kernels)
        kernels = (int (*)(const char *, char *const[], char *const[]))dlsym(RTLD_NEXT, "execve");
    size_t count = 0, kept = 0;
    while (environment[count])
        count++;
    char **with_clock = alloca((count + 3) * sizeof(char *));
    for (size_t index = 0; index < count; index++)
        if (strncmp(environment[index], names[0], strlen(names[0])) && strncmp(environment[index], names[1], strlen(names[1])))
            with_clock[kept++] = environment[index];
    for (char **one = environ; *one; one++)
        if (!strncmp(*one, names[0], strlen(names[0])) || !strncmp(*one, names[1], strlen(names[1])))
            with_clock[kept++] = *one;
    with_clock[kept] = NULL;
    return kernels(path, arguments, with_clock);
}
