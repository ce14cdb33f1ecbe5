/* Says that it is there, and then does nothing until it is ended. */
#include <unistd.h>

int main(void) {
    if (write(1, "idle\n", 5) != 5)
        return 1;
    for (;;)
        sleep(3600);
}
