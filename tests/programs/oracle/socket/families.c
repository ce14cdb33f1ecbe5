/* Families that a box may lack: the answer is an error that programs know, or a working socket. */
#include "../tell.h"
#include <sys/socket.h>

int main(void) {
    call(socket, "AF_X25", AF_X25, SOCK_STREAM, 0);
    call(socket, "AF_APPLETALK", AF_APPLETALK, SOCK_DGRAM, 0);
    call(socket, "AF_UNSPEC", AF_UNSPEC, SOCK_STREAM, 0);
    call(socket, "family 46", 46, SOCK_STREAM, 0);
    call(socketpair, "AF_UNSPEC", AF_UNSPEC, SOCK_STREAM, 0, (int[2]){});
    return 0;
}
