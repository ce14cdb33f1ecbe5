/* Does not compile: the errors are what is compared. */
int main(void) {
    int x = "text";
    return undeclared + x
}
