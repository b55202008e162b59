use std::{fs, path::Path};

use serde::Serialize;

/// What figures depend on beside the program: the board, its processor, and whether it was held back.
///
/// Read from `/proc` and `/sys`; what a system does not tell is absent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Machine {
    /// The board by its device tree: `Raspberry Pi 5 Model B Rev 1.0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board: Option<String>,
    /// The processor: its name, or on ARM the numbers of its implementer and part (`0x41 0xd0b`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processor: Option<String>,
    /// What the program was compiled for: `aarch64`.
    pub architecture: &'static str,
    /// Cores that the system has given to this process.
    pub cores: usize,
    /// The kernel's release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// Who chooses the clock rate of the first core: `ondemand`, `performance`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub governor: Option<String>,
    /// The clock rate of the first core now, MHz.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_mhz: Option<u32>,
    /// The highest it may go, MHz.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_max_mhz: Option<u32>,
    /// The first thermal zone, degrees Celsius.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature_c: Option<f64>,
    /// Raspberry Pi's firmware on supply and heat, as `vcgencmd get_throttled` prints it: 0 for nothing; bits 0 to 3 say that it
    /// is held back now (supply low, clock capped, throttled, soft limit), bits 16 to 19 that it was since it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttled: Option<String>,
}

impl Machine {
    /// The machine whose `/proc` and `/sys` are below `root`, `/` but for tests.
    pub fn read(root: &Path) -> Machine {
        let text = |file: &str| {
            let text = fs::read_to_string(root.join(file)).ok()?;
            // Device trees end strings with a zero.
            Some(text.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned()).filter(|text| !text.is_empty())
        };
        let clock = |file: &str| {
            let khz: u32 = text(&format!("sys/devices/system/cpu/cpu0/cpufreq/{file}"))?.parse().ok()?;
            Some(khz / 1000)
        };
        let cpuinfo = text("proc/cpuinfo").unwrap_or_default();
        let entry = |name: &str| {
            let mut lines = cpuinfo.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
        };
        let part = || Some(format!("{} {}", entry("CPU implementer")?, entry("CPU part")?));
        let millidegrees = text("sys/class/thermal/thermal_zone0/temp").and_then(|text| text.parse::<f64>().ok());
        Machine {
            board: text("proc/device-tree/model"),
            processor: part().or_else(|| entry("model name")),
            architecture: std::env::consts::ARCH,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: text("proc/sys/kernel/osrelease"),
            governor: text("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            clock_mhz: clock("scaling_cur_freq"),
            clock_max_mhz: clock("cpuinfo_max_freq"),
            temperature_c: millidegrees.map(|temperature| (temperature / 100.0).round() / 10.0),
            throttled: text("sys/devices/platform/soc/soc:firmware/get_throttled"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_tells_its_name_its_clock_and_that_it_was_throttled() {
        let root = tempfile::tempdir().unwrap();
        let clock = "sys/devices/system/cpu/cpu0/cpufreq";
        for (file, text) in [
            ("proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0"),
            ("proc/cpuinfo", "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b\n\nmodel name\t: none\n"),
            ("proc/sys/kernel/osrelease", "6.12.25+rpt-rpi-2712\n"),
            (&format!("{clock}/scaling_governor"), "ondemand\n"),
            (&format!("{clock}/scaling_cur_freq"), "1500000\n"),
            (&format!("{clock}/cpuinfo_max_freq"), "2400000\n"),
            ("sys/class/thermal/thermal_zone0/temp", "61450\n"),
            ("sys/devices/platform/soc/soc:firmware/get_throttled", "50000\n"),
        ] {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let machine = Machine::read(root.path());
        assert_eq!(machine.board.as_deref(), Some("Raspberry Pi 5 Model B Rev 1.0"));
        assert_eq!(machine.processor.as_deref(), Some("0x41 0xd0b"));
        assert_eq!(machine.kernel.as_deref(), Some("6.12.25+rpt-rpi-2712"));
        assert_eq!(machine.governor.as_deref(), Some("ondemand"));
        assert_eq!((machine.clock_mhz, machine.clock_max_mhz), (Some(1500), Some(2400)));
        assert_eq!((machine.temperature_c, machine.throttled.as_deref()), (Some(61.5), Some("50000")));
    }

    #[test]
    fn a_system_that_tells_nothing_leaves_the_fields_out() {
        let root = tempfile::tempdir().unwrap();
        let machine = serde_json::to_value(Machine::read(root.path())).unwrap();
        let mut keys: Vec<&str> = machine.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["architecture", "cores"]);
    }
}
