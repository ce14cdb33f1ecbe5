//! Boots a kernel with a box by hand:
//!
//! ```text
//! boot --kernel KERNEL.elf [--memory 256M] [--box IMAGE.erofs] [--init BLOCK] [--env NAME=VALUE]…
//!      [--workdir DIR] [--timeout SECONDS] [--trace] [--stats] [-- /bin/program ARGUMENTS…]
//! ```
//!
//! The console goes to standard output and standard error. The exit status is the program's, 128
//! and the number for a signal, 125 for any other end.
#![allow(clippy::print_stderr)]

use std::error::Error;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

use unicell_guest_abi::boot::flags;
use unicell_guest_abi::exit::ExitKind;
use unicell_guest_abi::init::{Furnishing, Init};
use unicell_vmm::{BoxImage, Builder, End, Kernel, Outcome, Stdio, Timeline, monotonic_ns};

#[derive(Default)]
struct Options {
    kernel: Option<String>,
    memory: Option<u64>,
    image: Option<String>,
    init: Option<String>,
    env: Vec<String>,
    workdir: Option<String>,
    timeout: Option<u64>,
    trace: bool,
    stats: bool,
    program: Vec<String>,
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut options = Options::default();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        match arg.as_str() {
            "--kernel" => options.kernel = Some(value()?),
            "--memory" => options.memory = Some(size(&value()?)?),
            "--box" => options.image = Some(value()?),
            "--init" => options.init = Some(value()?),
            "--env" => options.env.push(value()?),
            "--workdir" => options.workdir = Some(value()?),
            "--timeout" => options.timeout = Some(value()?.parse()?),
            "--trace" => options.trace = true,
            "--stats" => options.stats = true,
            "--" => options.program = args.by_ref().collect(),
            _ => return Err(format!("unknown option {arg}").into()),
        }
    }
    Ok(options)
}

fn size(text: &str) -> Result<u64, Box<dyn Error>> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K') => (&text[..text.len() - 1], 10),
        Some(b'M') => (&text[..text.len() - 1], 20),
        Some(b'G') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    Ok(digits.parse::<u64>()? << shift)
}

fn init_block(options: &Options) -> Result<Vec<u8>, Box<dyn Error>> {
    if let Some(path) = &options.init {
        return Ok(std::fs::read(path)?);
    }
    let mut block = Vec::new();
    if let Some(program) = options.program.first() {
        let workdir = options.workdir.as_deref().unwrap_or("/");
        Init::encode(
            (program.as_bytes(), workdir.as_bytes()),
            options.program.iter().map(String::as_bytes),
            options.env.iter().map(String::as_bytes),
            &Furnishing::default(),
            &mut block,
        );
    }
    Ok(block)
}

fn run(options: &Options) -> Result<Outcome, Box<dyn Error>> {
    let timeline = Timeline::now();
    let path = options.kernel.as_ref().ok_or("--kernel is needed")?;
    let mut builder = Builder::new(Kernel::open(&File::open(path)?)?)
        .timeline(timeline)
        .ram(options.memory.unwrap_or(256 << 20))
        .init(init_block(options)?)
        .flags(if options.trace { flags::TRACE } else { 0 });
    if let Some(path) = &options.image {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let offset = 0;
        builder = builder.image(BoxImage { file, offset, len });
    }
    let mut vm = builder.build()?;
    if let Some(seconds) = options.timeout {
        vm.set_deadline(monotonic_ns() + seconds * 1_000_000_000);
    }
    let own = |fd: &dyn AsFd| -> std::io::Result<OwnedFd> { fd.as_fd().try_clone_to_owned() };
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let backend = Stdio::new(own(&stdin)?, own(&stdout)?, own(&stderr)?, own(&stderr)?);
    Ok(vm.run(Box::new(backend)).outcome)
}

fn stats(outcome: &Outcome) {
    let mut before = 0;
    for (phase, ns) in outcome.stats.timeline.marks() {
        let (at, took) = (ns / 1000, (ns - before) / 1000);
        eprintln!("{at:8} µs  +{took:6}  {phase}");
        before = ns;
    }
    eprintln!("{:?}\n{:?}", outcome.stats.exits, outcome.stats.guest);
}

fn main() -> ExitCode {
    let outcome = options().and_then(|options| {
        let outcome = run(&options)?;
        if options.stats {
            stats(&outcome);
        }
        Ok(outcome)
    });
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            eprintln!("boot: {error}");
            return ExitCode::from(125);
        }
    };
    if !matches!(
        outcome.end,
        End::Guest {
            kind: ExitKind::Exited,
            ..
        }
    ) {
        eprintln!("boot: {outcome}");
    }
    if let Some(report) = &outcome.report {
        eprint!("{report}");
    }
    match outcome.end {
        End::Guest {
            kind: ExitKind::Exited,
            status,
        } => ExitCode::from(status as u8),
        End::Guest {
            kind: ExitKind::Signaled,
            status,
        } => ExitCode::from(128 + status as u8),
        _ => ExitCode::from(125),
    }
}
