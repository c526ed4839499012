/*
 * The load generator of the echo rows: a process of its own, so that the
 * server is what is measured.
 *
 *     load PORT PID CONNECTIONS SIZE WARM_UP_MS MEASURE_MS
 *
 * Each connection sends a message, waits until all of it has come back, and
 * sends the next. One line of JSON says how many messages made it in the time
 * that was measured, how long they took, and what processor time the server
 * with that PID used meanwhile, all of its threads together, in microseconds.
 *
 * A server may be quick because it serves some connections over and over: their
 * messages are many, and hide those that others still wait for. "wait99" is
 * about connections instead: 99 of 100 never waited longer, and what they still
 * wait for at the end counts.
 */

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* Latencies in steps of one 64th of their power of two. */
#define STEPS 64
#define POWERS 40
static unsigned long long histogram[STEPS * POWERS];

struct connection {
  int fd;
  size_t missing;
  long long began;
  long long longest;
};

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

/* What a process has used; 0 where the system does not tell. */
static long long used(pid_t pid) {
  clockid_t clock;
  struct timespec t;
  if (clock_getcpuclockid(pid, &clock) != 0) return 0;
  if (clock_gettime(clock, &t) != 0) return 0;
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void count(long long nanoseconds) {
  unsigned long long n = nanoseconds < STEPS ? STEPS : nanoseconds;
  int power = 63 - __builtin_clzll(n);
  int step = (n >> (power - 6)) & (STEPS - 1);
  histogram[power * STEPS + step]++;
}

static double quantile(unsigned long long total, double q) {
  unsigned long long seen = 0;
  for (int i = 0; i < STEPS * POWERS; i++) {
    seen += histogram[i];
    if (histogram[i] > 0 && seen >= total * q) {
      int power = i / STEPS;
      return (double)((1ULL << power) +
                      ((unsigned long long)(i % STEPS) << (power - 6))) / 1000;
    }
  }
  return 0;
}

static int by_longest(const void *a, const void *b) {
  long long x = ((const struct connection *)a)->longest;
  long long y = ((const struct connection *)b)->longest;
  return (x > y) - (x < y);
}

static void send_all(int fd, const char *data, size_t size) {
  for (size_t sent = 0; sent < size;) {
    ssize_t n = send(fd, data + sent, size - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("send");
    sent += n;
  }
}

int main(int argc, char **argv) {
  if (argc != 7) {
    fprintf(stderr,
            "usage: load PORT PID CONNECTIONS SIZE WARM_UP_MS MEASURE_MS\n");
    return 2;
  }
  pid_t server = atoi(argv[2]);
  int connections = atoi(argv[3]);
  size_t size = atoi(argv[4]);
  long long warm_up = atoll(argv[5]) * 1000000;
  long long measure = atoll(argv[6]) * 1000000;

  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  char *message = malloc(size), *echo = malloc(size);
  for (size_t i = 0; i < size; i++) message[i] = i * 31;
  struct sockaddr_in address = {
    .sin_family = AF_INET,
    .sin_port = htons(atoi(argv[1])),
    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
  };
  struct connection *all = calloc(connections, sizeof *all);
  int set = epoll_create1(0);
  for (int i = 0; i < connections; i++) {
    all[i].fd = socket(AF_INET, SOCK_STREAM, 0);
    if (all[i].fd < 0) fail("socket");
    if (connect(all[i].fd, (struct sockaddr *)&address, sizeof address) < 0) {
      fail("connect");
    }
    int on = 1;
    setsockopt(all[i].fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};
    epoll_ctl(set, EPOLL_CTL_ADD, all[i].fd, &event);
  }
  long long start = now() + warm_up, end = start + measure;
  for (int i = 0; i < connections; i++) {
    all[i].missing = size;
    all[i].began = now();
    send_all(all[i].fd, message, size);
  }
  unsigned long long messages = 0;
  int measuring = 0;
  long long last = end, cpu = 0;
  struct epoll_event events[1024];
  for (;;) {
    long long time = now();
    if (!measuring && time >= start) {
      measuring = 1;
      cpu = used(server);
    }
    if (time >= end) break;
    long long left = (measuring ? end : start) - time;
    int ready = epoll_wait(set, events, 1024, left / 1000000 + 1);
    if (ready < 0 && errno != EINTR) fail("epoll_wait");
    for (int i = 0; i < ready; i++) {
      struct connection *c = events[i].data.ptr;
      ssize_t n = recv(c->fd, echo + size - c->missing, c->missing, MSG_DONTWAIT);
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (n < 0) fail("recv");
      if (n == 0) {
        fprintf(stderr, "the server closed a connection\n");
        return 1;
      }
      c->missing -= n;
      if (c->missing > 0) continue;
      time = now();
      if (measuring) {
        messages++;
        if (time > last) last = time;
        count(time - c->began);
        if (time - c->began > c->longest) c->longest = time - c->began;
      } else if (memcmp(message, echo, size) != 0 && connections == 1) {
        /* With one connection nobody else writes to this buffer. */
        fprintf(stderr, "what came back was something else\n");
        return 1;
      }
      c->missing = size;
      c->began = time;
      send_all(c->fd, message, size);
    }
  }
  cpu = used(server) - cpu;
  if (messages == 0) {
    fprintf(stderr, "no message came back\n");
    return 1;
  }
  for (int i = 0; i < connections; i++) {
    long long so_far = last - all[i].began;
    if (so_far > all[i].longest) all[i].longest = so_far;
  }
  qsort(all, connections, sizeof *all, by_longest);
  double wait99 = all[(connections * 99 + 99) / 100 - 1].longest / 1e3;
  printf("{\"messages\":%llu,\"seconds\":%.6f,\"p50\":%.1f,\"p99\":%.1f,"
         "\"wait99\":%.1f,\"cpu\":%.1f}\n",
         messages, (last - start) / 1e9, quantile(messages, 0.5),
         quantile(messages, 0.99), wait99, cpu / 1e3);
  return 0;
}
