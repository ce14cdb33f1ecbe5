//! The process that an instance becomes.
//!
//! **For**: one instance, told by its node over the link that it inherits as standard input.
//! **Not for**: people; they use `unicell`.
//!
//! What becomes of the guest is told over the link. The exit status says only whether the link was
//! understood: 0 if so, 1 if not.
//!
//! **Invariant**: this process starts no other, except that it may go on in a child of its own
//! (`jail`), and reads nothing but the link and the descriptors that came over it.

use unicell_kernel_image::KERNEL;
use unicell_vmm::link::{InstanceEnd, LinkError};
use unicell_vmm::{jail, process};

fn main() {
    // Started by a descriptor, the process would be known by its number. Only for those who look.
    let _ = rustix::thread::set_name(c"unicell-vmm");
    let status = match serve() {
        // A node that is gone, before the start or at the end, has been told all that it wants.
        Ok(()) | Err(LinkError::Closed) => 0,
        Err(error) => {
            eprintln!("unicell-vmm: {error}");
            1
        }
    };
    // At once: what is left is the kernel's to clean up.
    std::process::exit(status);
}

fn serve() -> Result<(), LinkError> {
    jail::close_inherited()?;
    let served = process::serve_jailed(&InstanceEnd::inherited()?, KERNEL)?;
    // Destroying the machine takes longer than making it: left to the end of the process, which
    // nobody waits for.
    std::mem::forget(served);
    Ok(())
}
