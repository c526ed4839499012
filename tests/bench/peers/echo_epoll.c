/*
 * An echo server as plain as can be, on level-triggered epoll: what the kernel
 * allows one thread.
 */

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static char buffer[65536];

int main(void) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  int port = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
  struct sockaddr_in address = {
    .sin_family = AF_INET,
    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
  };
  socklen_t length = sizeof address;
  if (bind(port, (struct sockaddr *)&address, length) < 0) return 1;
  listen(port, 4096);
  getsockname(port, (struct sockaddr *)&address, &length);
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);

  int set = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = port}, events[1024];
  epoll_ctl(set, EPOLL_CTL_ADD, port, &event);
  for (;;) {
    int ready = epoll_wait(set, events, 1024, -1);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd == port) {
        for (int peer; (peer = accept4(port, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
          setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
          event.events = EPOLLIN;
          event.data.fd = peer;
          epoll_ctl(set, EPOLL_CTL_ADD, peer, &event);
        }
        continue;
      }
      ssize_t n = recv(fd, buffer, sizeof buffer, 0);
      if (n < 0 && errno == EAGAIN) continue;
      if (n <= 0) {
        close(fd);
        continue;
      }
      for (ssize_t sent = 0; sent < n;) {
        ssize_t m = send(fd, buffer + sent, n - sent, MSG_NOSIGNAL);
        if (m < 0 && errno == EAGAIN) {
          /* Rare with messages this short: wait for room, in place. */
          struct pollfd room = {.fd = fd, .events = POLLOUT};
          poll(&room, 1, -1);
          continue;
        }
        if (m < 0) break;
        sent += m;
      }
    }
  }
}
