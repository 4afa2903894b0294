fn main() -> std::process::ExitCode {
    k8sdoctor::cli::main(std::env::args_os())
}
