//! What /proc, /sys and a few files of /etc say of a system: kernel, mounts, cgroups, memory, processes.

mod kernel;
pub mod lines;
mod process;
mod tables;

pub use kernel::{kernel_arguments, kernel_config, module_names, modules, os_release, version_release};
pub use process::{Stat, arguments, environment, is_kept_variable, link_inode, stat};
pub use tables::{CgroupRow, MountRow, SwapRow, cgroups, cpus, memory, mounts, swaps, unescape_octal};
