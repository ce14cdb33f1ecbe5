//! The image: the kernel's library with what a program that nobody loads needs.
#![no_std]
#![no_main]

use unicell_kernel as _;

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    unicell_kernel::panic(info)
}
