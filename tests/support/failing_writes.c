/*
 * Lets every write below one folder fail, as on a broken disk: while the file $FAILING_WRITES exists, write,
 * pwrite, fsync, fdatasync, ftruncate and fallocate fail with the error number in it. For LD_PRELOAD.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int fails(int descriptor) {
    const char *control = getenv("FAILING_WRITES"), *folder = getenv("FAILING_FOLDER");
    if (!control || !folder || access(control, F_OK) != 0)
        return 0;
    char link[64], path[4096], text[16] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0 || strncmp(path, folder, strlen(folder)) != 0)
        return 0;
    int opened = open(control, O_RDONLY | O_CLOEXEC);
    if (opened < 0)
        return 0;
    ssize_t got = read(opened, text, sizeof text - 1);
    close(opened);
    if (got <= 0)
        return 0;
    errno = atoi(text);
    return 1;
}

#define FAILING(result, name, arguments, ...)                                                   \
    result name arguments {                                                                     \
        static result(*real) arguments;                                                         \
        if (!real)                                                                              \
            *(void **)&real = dlsym(RTLD_NEXT, #name);                                          \
        return fails(descriptor) ? -1 : real(__VA_ARGS__);                                      \
    }

FAILING(ssize_t, write, (int descriptor, const void *data, size_t size), descriptor, data, size)
FAILING(ssize_t, pwrite, (int descriptor, const void *data, size_t size, off_t at), descriptor, data, size, at)
FAILING(ssize_t, pwrite64, (int descriptor, const void *data, size_t size, off64_t at), descriptor, data, size, at)
FAILING(int, fsync, (int descriptor), descriptor)
FAILING(int, fdatasync, (int descriptor), descriptor)
FAILING(int, ftruncate, (int descriptor, off_t size), descriptor, size)
FAILING(int, ftruncate64, (int descriptor, off64_t size), descriptor, size)
