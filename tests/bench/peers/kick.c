/*
 * Sends the time over a connection, again and again, and then ends.
 *
 *     kick PORT COUNT INTERVAL_US
 *
 * Each message is the system's monotonic clock in microseconds, as a double:
 * who gets it knows how long it was on its way. The pauses are up to a quarter
 * longer or shorter than asked for, so that they keep step with nobody's timer.
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: kick PORT COUNT INTERVAL_US\n");
    return 2;
  }
  int count = atoi(argv[2]), interval = atoi(argv[3]), on = 1;
  struct sockaddr_in address = {
    .sin_family = AF_INET,
    .sin_port = htons(atoi(argv[1])),
    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
  };
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
    perror("connect");
    return 1;
  }
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  for (int i = 0; i < count; i++) {
    long pause = interval * 3L / 4 + rand() % (interval / 2 + 1);
    struct timespec t = {.tv_sec = pause / 1000000, .tv_nsec = pause % 1000000 * 1000};
    nanosleep(&t, NULL);
    clock_gettime(CLOCK_MONOTONIC, &t);
    double stamp = t.tv_sec * 1e6 + t.tv_nsec / 1e3;
    if (send(fd, &stamp, sizeof stamp, MSG_NOSIGNAL) != sizeof stamp) {
      perror("send");
      return 1;
    }
  }
  printf("{\"sent\":%d}\n", count);
  return 0;
}
