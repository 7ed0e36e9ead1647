// limit N AT_NS HOST PORT PREFIX: the best that this machine can do. Before T it connects N sockets and prepares N
// requests (GET PREFIX<i>). At T one thread of normal priority calls send() N times. Prints {"ok": n, "failed": n}.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

// Connect slowly, so that the server's queue does not overflow.
#define CONNECTIONS_AT_ONCE 200
#define PAUSE_NS 4000000
// nanosleep may wake this late, so the rest is a busy loop.
#define SPIN_NS 2000000LL

struct request { int socket, length; char text[232]; };

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int connected(const struct sockaddr_in *to) {
  int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  if (s < 0 || connect(s, (const void *)to, sizeof *to)) {
    fprintf(stderr, "connect: %s\n", strerror(errno));
    exit(1);
  }
  setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return s;
}

static void hold_until(long long at) {
  long long left;
  while ((left = at - now()) > SPIN_NS) {
    left -= SPIN_NS;
    struct timespec t = {left / 1000000000LL, left % 1000000000LL};
    nanosleep(&t, NULL);
  }
  while (now() < at) {}
}

static int answers(struct request *r, int n) {
  int ok = 0;
  struct timeval patience = {5, 0};
  for (int i = 0; i < n; i++) {
    char answer[512];
    setsockopt(r[i].socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ssize_t got = recv(r[i].socket, answer, sizeof answer, 0);
    ok += got > 12 && !memcmp(answer + 9, "200", 3);
  }
  return ok;
}

int main(int count, char **words) {
  if (count != 6) { fprintf(stderr, "limit N AT_NS HOST PORT PREFIX\n"); return 2; }
  int n = atoi(words[1]);
  long long at = atoll(words[2]);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(words[4]))};
  struct request *r = calloc(n, sizeof *r);
  inet_pton(AF_INET, words[3], &to.sin_addr);
  for (int i = 0; i < n; i++) {
    r[i].socket = connected(&to);
    r[i].length = snprintf(r[i].text, sizeof r[i].text, "GET %s%d HTTP/1.1\r\nHost: %s\r\n\r\n", words[5], i, words[3]);
    if (i % CONNECTIONS_AT_ONCE == CONNECTIONS_AT_ONCE - 1) nanosleep(&(struct timespec){0, PAUSE_NS}, NULL);
  }
  mlockall(MCL_CURRENT);  // if allowed: no page fault at T
  if (now() > at - SPIN_NS) { fprintf(stderr, "connected too late\n"); return 1; }
  hold_until(at);
  for (int i = 0; i < n; i++)
    if (send(r[i].socket, r[i].text, r[i].length, MSG_NOSIGNAL) != r[i].length) fprintf(stderr, "send %d: %s\n", i, strerror(errno));
  int ok = answers(r, n);
  printf("{\"ok\": %d, \"failed\": %d}\n", ok, n - ok);
  return 0;
}
