//! The machine that all this was measured on.

use std::fs;

use unicell_vmm::hardware_virtualisation;

/// Processor, cores, kernel, kind of KVM and load, a line each.
pub(crate) fn describe() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':'))
            .map_or("unknown", |(_, value)| value.trim())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = rustix::system::uname();
    let kvm = match kvm_ioctls::Kvm::new() {
        Err(error) => format!("none ({error})"),
        Ok(_) if hardware_virtualisation() => "by hardware".to_owned(),
        Ok(_) => "by page tables".to_owned(),
    };
    format!(
        "processor  {}\ncores      {cores}\nkernel     {}\nKVM        {kvm}\n{}\n\n\
         {:<28} {:>10}   {:<24} ratio of the medians",
        field("model name"),
        kernel.release().to_string_lossy(),
        load(),
        "",
        "median",
        "quartiles",
    )
}

/// How busy the machine is: where this is much above one, so are all numbers.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let averages: Vec<_> = text.split(' ').take(3).collect();
    format!("load       {}", averages.join(" "))
}
