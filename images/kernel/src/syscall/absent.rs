//! Names of the system calls that the kernel does not have, so that the trace can name them.

use linux_raw_sys::general as nr;

macro_rules! names {
    ($($number:ident $name:literal;)*) => {
        /// The name of a call that is not in the table, if Linux has it.
        #[must_use]
        pub fn name(number: u64) -> Option<&'static str> {
            match u32::try_from(number).ok()? {
                $(nr::$number => Some($name),)*
                _ => None,
            }
        }
    };
}

names! {
    __NR_ptrace "ptrace";
    __NR_uselib "uselib";
    __NR_ustat "ustat";
    __NR_sysfs "sysfs";
    __NR_modify_ldt "modify_ldt";
    __NR__sysctl "_sysctl";
    __NR_adjtimex "adjtimex";
    __NR_acct "acct";
    __NR_settimeofday "settimeofday";
    __NR_swapon "swapon";
    __NR_swapoff "swapoff";
    __NR_reboot "reboot";
    __NR_setdomainname "setdomainname";
    __NR_iopl "iopl";
    __NR_ioperm "ioperm";
    __NR_create_module "create_module";
    __NR_init_module "init_module";
    __NR_delete_module "delete_module";
    __NR_get_kernel_syms "get_kernel_syms";
    __NR_query_module "query_module";
    __NR_quotactl "quotactl";
    __NR_nfsservctl "nfsservctl";
    __NR_getpmsg "getpmsg";
    __NR_putpmsg "putpmsg";
    __NR_afs_syscall "afs_syscall";
    __NR_tuxcall "tuxcall";
    __NR_security "security";
    __NR_set_thread_area "set_thread_area";
    __NR_io_setup "io_setup";
    __NR_io_destroy "io_destroy";
    __NR_io_getevents "io_getevents";
    __NR_io_submit "io_submit";
    __NR_io_cancel "io_cancel";
    __NR_get_thread_area "get_thread_area";
    __NR_lookup_dcookie "lookup_dcookie";
    __NR_epoll_ctl_old "epoll_ctl_old";
    __NR_epoll_wait_old "epoll_wait_old";
    __NR_remap_file_pages "remap_file_pages";
    __NR_restart_syscall "restart_syscall";
    __NR_vserver "vserver";
    __NR_mbind "mbind";
    __NR_set_mempolicy "set_mempolicy";
    __NR_get_mempolicy "get_mempolicy";
    __NR_kexec_load "kexec_load";
    __NR_add_key "add_key";
    __NR_request_key "request_key";
    __NR_keyctl "keyctl";
    __NR_ioprio_set "ioprio_set";
    __NR_ioprio_get "ioprio_get";
    __NR_migrate_pages "migrate_pages";
    __NR_unshare "unshare";
    __NR_move_pages "move_pages";
    __NR_perf_event_open "perf_event_open";
    __NR_fanotify_init "fanotify_init";
    __NR_fanotify_mark "fanotify_mark";
    __NR_clock_adjtime "clock_adjtime";
    __NR_setns "setns";
    __NR_process_vm_readv "process_vm_readv";
    __NR_process_vm_writev "process_vm_writev";
    __NR_kcmp "kcmp";
    __NR_finit_module "finit_module";
    __NR_seccomp "seccomp";
    __NR_kexec_file_load "kexec_file_load";
    __NR_bpf "bpf";
    __NR_userfaultfd "userfaultfd";
    __NR_pkey_mprotect "pkey_mprotect";
    __NR_pkey_alloc "pkey_alloc";
    __NR_pkey_free "pkey_free";
    __NR_io_pgetevents "io_pgetevents";
    __NR_rseq "rseq";
    __NR_uretprobe "uretprobe";
    __NR_io_uring_setup "io_uring_setup";
    __NR_io_uring_enter "io_uring_enter";
    __NR_io_uring_register "io_uring_register";
    __NR_open_tree "open_tree";
    __NR_move_mount "move_mount";
    __NR_fsopen "fsopen";
    __NR_fsconfig "fsconfig";
    __NR_fsmount "fsmount";
    __NR_fspick "fspick";
    __NR_process_madvise "process_madvise";
    __NR_mount_setattr "mount_setattr";
    __NR_quotactl_fd "quotactl_fd";
    __NR_landlock_create_ruleset "landlock_create_ruleset";
    __NR_landlock_add_rule "landlock_add_rule";
    __NR_landlock_restrict_self "landlock_restrict_self";
    __NR_memfd_secret "memfd_secret";
    __NR_process_mrelease "process_mrelease";
    __NR_futex_waitv "futex_waitv";
    __NR_set_mempolicy_home_node "set_mempolicy_home_node";
    __NR_cachestat "cachestat";
    __NR_map_shadow_stack "map_shadow_stack";
    __NR_futex_wake "futex_wake";
    __NR_futex_wait "futex_wait";
    __NR_futex_requeue "futex_requeue";
    __NR_statmount "statmount";
    __NR_listmount "listmount";
    __NR_lsm_get_self_attr "lsm_get_self_attr";
    __NR_lsm_set_self_attr "lsm_set_self_attr";
    __NR_lsm_list_modules "lsm_list_modules";
    __NR_mseal "mseal";
    __NR_setxattrat "setxattrat";
    __NR_getxattrat "getxattrat";
    __NR_listxattrat "listxattrat";
    __NR_removexattrat "removexattrat";
    __NR_open_tree_attr "open_tree_attr";
    __NR_file_getattr "file_getattr";
    __NR_file_setattr "file_setattr";
}
