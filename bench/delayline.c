// delayline MS: a link between two new network namespaces, "near" and "far", for kernels without netem. Each end is a
// TUN device named "tminus0". Every packet leaves the other device MS milliseconds after it entered. The program prints
// the descriptors of near and far (nsenter --net=/proc/PID/fd/N). It runs until it or its parent is ended. The
// namespaces end with their last process.
#define _GNU_SOURCE
#include <fcntl.h>
#include <net/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define LONGEST 1600
// A power of two, and more packets than 1000 connections send within the delay. If it is full, packets wait in the device.
#define ROOM 16384u

struct packet { long long due; ssize_t length; unsigned char bytes[LONGEST]; };
struct way { int from, to; unsigned in, out; struct packet *packets; };

static void check(int result, const char *what) {
  if (result < 0) { perror(what); exit(1); }
}

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

// Creates a namespace with its end of the link. This process stays in it.
static int end_of_link(int *namespace) {
  struct ifreq request = {.ifr_name = "tminus0", .ifr_flags = IFF_TUN | IFF_NO_PI};
  int device;
  check(unshare(CLONE_NEWNET), "network namespace");
  check(*namespace = open("/proc/self/ns/net", O_RDONLY), "network namespace");
  check(device = open("/dev/net/tun", O_RDWR | O_NONBLOCK), "/dev/net/tun");
  check(ioctl(device, TUNSETIFF, &request), "TUN device");
  return device;
}

static void take_in(struct way *way, long long delay) {
  while (way->in - way->out < ROOM) {
    struct packet *packet = &way->packets[way->in % ROOM];
    if ((packet->length = read(way->from, packet->bytes, LONGEST)) <= 0) return;
    packet->due = now() + delay;
    way->in++;
  }
}

static void let_out(struct way *way) {
  while (way->out != way->in && way->packets[way->out % ROOM].due <= now()) {
    struct packet *packet = &way->packets[way->out++ % ROOM];
    // An end that is down loses the packet, as on any link.
    if (write(way->to, packet->bytes, packet->length) < 0) continue;
  }
}

int main(int count, char **words) {
  if (count != 2) { fprintf(stderr, "delayline MS\n"); return 2; }
  long long delay = atof(words[1]) * 1e6;
  int near, far;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  int a = end_of_link(&near), b = end_of_link(&far);
  struct way ways[] = {{.from = a, .to = b}, {.from = b, .to = a}};
  for (int i = 0; i < 2; i++) ways[i].packets = malloc(ROOM * sizeof *ways[i].packets);
  printf("%d %d\n", near, far);
  fflush(stdout);
  for (;;) {
    struct pollfd ends[2];
    long long next = -1;
    for (int i = 0; i < 2; i++) {
      struct way *way = &ways[i];
      ends[i] = (struct pollfd){.fd = way->from, .events = way->in - way->out < ROOM ? POLLIN : 0};
      if (way->out != way->in) {
        long long due = way->packets[way->out % ROOM].due;
        next = next < 0 || due < next ? due : next;
      }
    }
    long long left = next < 0 ? 1000000000LL : next > now() ? next - now() : 0;
    struct timespec wait = {left / 1000000000LL, left < 0 ? 0 : left % 1000000000LL};
    ppoll(ends, 2, &wait, NULL);
    for (int i = 0; i < 2; i++) {
      take_in(&ways[i], delay);
      let_out(&ways[i]);
    }
  }
}
