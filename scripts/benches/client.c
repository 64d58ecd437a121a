/* The loops that scripts/bench times: what a program does to files, with nothing of an interpreter in the figures.
 *
 *   client seq FILE BLOCK                  reads it from its start to its end
 *   client direct FILE BLOCK               the same with O_DIRECT
 *   client rand FILE BLOCK COUNT SEED      reads BLOCK bytes at COUNT places
 *   client stat DIR FIRST COUNT            lstat of DIR/f0000000 …
 *   client open DIR FIRST COUNT            open, read 4 KiB, close
 *   client create DIR FIRST COUNT SIZE     create, write SIZE bytes, close
 *
 * Prints the monotonic clock in seconds before and after, and how much was done (bytes, or files).
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int64_t read_all(int fd, char *buffer, size_t block)
{
    int64_t done = 0;
    ssize_t count;
    while ((count = read(fd, buffer, block)) > 0)
        done += count;
    if (count < 0)
        fail("read");
    return done;
}

static int64_t read_at_random(int fd, char *buffer, size_t block, long count, uint64_t state)
{
    struct stat facts;
    if (fstat(fd, &facts) != 0 || facts.st_size < (off_t)block)
        fail("fstat");
    uint64_t blocks = facts.st_size / block;
    for (long i = 0; i < count; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        if (pread(fd, buffer, block, (off_t)(state % blocks * block)) != (ssize_t)block)
            fail("pread");
    }
    return (int64_t)count * block;
}

static void one_file(const char *mode, const char *path, char *buffer, size_t size)
{
    struct stat facts;
    if (!strcmp(mode, "stat")) {
        if (lstat(path, &facts) != 0)
            fail(path);
        return;
    }
    int create = !strcmp(mode, "create");
    int fd = open(path, create ? O_CREAT | O_EXCL | O_WRONLY : O_RDONLY, 0644);
    if (fd < 0)
        fail(path);
    if (create ? size && write(fd, buffer, size) != (ssize_t)size : read(fd, buffer, 4096) < 0)
        fail(path);
    if (close(fd) != 0)
        fail(path);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    const char *mode = argv[1];
    size_t block = strtoul(argv[3], NULL, 10);
    int direct = !strcmp(mode, "direct"), at_random = !strcmp(mode, "rand");
    int reading = direct || at_random || !strcmp(mode, "seq");
    char *buffer = aligned_alloc(4096, reading && block > 4096 ? block : 1 << 20);
    memset(buffer, 42, 4096);
    int64_t done = 0;
    double start, end;
    if (reading) {
        int fd = open(argv[2], O_RDONLY | (direct ? O_DIRECT : 0));
        if (fd < 0)
            fail(argv[2]);
        start = now();
        if (at_random)
            done = read_at_random(fd, buffer, block, atol(argv[4]), strtoull(argv[5], NULL, 10));
        else
            done = read_all(fd, buffer, block);
        end = now();
    } else {
        char path[4096];
        long first = atol(argv[3]), count = atol(argv[4]);
        size_t size = argc > 5 ? strtoul(argv[5], NULL, 10) : 0;
        start = now();
        for (long i = first; i < first + count; i++) {
            snprintf(path, sizeof path, "%s/f%07ld", argv[2], i);
            one_file(mode, path, buffer, size);
        }
        done = count;
        end = now();
    }
    printf("%.6f %.6f %lld\n", start, end, (long long)done);
    return 0;
}
