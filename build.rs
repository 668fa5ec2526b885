//! Links the two C speech libraries, and says which package is missing where one is.

use std::path::Path;
use std::process::Command;

/// Library (without `lib`), and the Debian package that has it. Dependents before what they need.
const LIBRARIES: [(&str, &str); 6] = [
    ("flite_cmu_us_slt", "flite1-dev"),
    ("flite_usenglish", "flite1-dev"),
    ("flite_cmulex", "flite1-dev"),
    ("flite", "flite1-dev"),
    ("pocketsphinx", "libpocketsphinx-dev"),
    ("sphinxbase", "libsphinxbase-dev"),
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CC");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    for (library, package) in LIBRARIES {
        if is_missing(&compiler, library) {
            println!(
                "cargo::error=lib{library}.so is not installed; on Debian or Ubuntu: apt-get install {package}"
            );
        }
        println!("cargo::rustc-link-lib=dylib={library}");
    }
}

/// Asks the compiler, since rustc links with its search paths. A compiler that cannot be asked is
/// left for the linker to complain about.
fn is_missing(compiler: &str, library: &str) -> bool {
    let Ok(answer) = Command::new(compiler).arg(format!("-print-file-name=lib{library}.so")).output() else {
        return false;
    };
    // It prints the full path of what it found, else the bare name.
    answer.status.success() && !Path::new(String::from_utf8_lossy(&answer.stdout).trim()).is_absolute()
}
