/*
 * What pairs.ts does, with nothing between it and the kernel.
 *
 *     pairs_epoll PAIRS IDLE WARM_UP_MS MEASURE_MS
 */

#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int set;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static int make_pair(void) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) < 0) {
    perror("socketpair");
    exit(1);
  }
  for (int i = 0; i < 2; i++) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = ends[i]};
    if (epoll_ctl(set, EPOLL_CTL_ADD, ends[i], &event) < 0) {
      perror("epoll_ctl");
      exit(1);
    }
  }
  return ends[0];
}

int main(int argc, char **argv) {
  if (argc != 5) {
    fprintf(stderr, "usage: pairs_epoll PAIRS IDLE WARM_UP_MS MEASURE_MS\n");
    return 2;
  }
  set = epoll_create1(0);
  for (int i = 0; i < atoi(argv[2]); i += 2) make_pair();
  for (int i = 0; i < atoi(argv[1]); i++) {
    if (write(make_pair(), "", 1) != 1) return 1;
  }
  struct epoll_event events[1024];
  char buffer[64];
  long count = 0, before = 0;
  double begin = now() + atof(argv[3]), end = begin + atof(argv[4]), started = 0;
  for (;;) {
    int ready = epoll_wait(set, events, 1024, -1);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      count++;
      if (read(fd, buffer, sizeof buffer) < 0 || write(fd, "", 1) < 0) return 1;
    }
    double time = now();
    if (started == 0 && time >= begin) {
      started = time;
      before = count;
    }
    if (time >= end) {
      printf("{\"rate\":%.1f}\n", (count - before) / (time - started) * 1e3);
      return 0;
    }
  }
}
