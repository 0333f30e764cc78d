//! Cases by number: which machine, and how many lives.
//!
//! Invariant: a number makes one case, on every target.

use ondisk_sim::machine::Config;
use ondisk_sim::machine::config::{
    DataMode, DriveCache, Ext4Options, FlushIs, Link, Mount, Scheduler, Share,
};
use ondisk_sim::machine::ids::Ns;

use super::Case;
use super::script::{self, Dice, Length};

impl Case {
    /// The case of a number.
    #[must_use]
    pub fn of(number: u64) -> Self {
        let mut dice = Dice::new(number ^ 0xC0FF_EE00);
        let mut options = Ext4Options::default();
        match dice.below(10) {
            0 => options.dioread_lock = true,
            1 => options.delalloc = false,
            2 => options.data = DataMode::Writeback,
            3 | 4 => options.data = DataMode::Journal,
            _ => {}
        }
        options.journal = [64, 128, 1024][usize::try_from(dice.below(3)).unwrap_or(0)];
        let mut config = Config::default();
        config.block.scheduler = match dice.below(3) {
            0 => Scheduler::None,
            1 => Scheduler::MqDeadline,
            _ => Scheduler::Bfq,
        };
        config.drive.cache = match dice.below(4) {
            0 => DriveCache::Capacitor,
            1 => DriveCache::None,
            _ => DriveCache::Volatile,
        };
        if dice.below(3) == 0 {
            config.drive.link = Link::Sata;
        }
        if dice.below(3) == 0 {
            config.cache.share = Share::Fresh;
        }
        config.drive.torn = dice.below(3) == 0;
        if dice.below(4) == 0 {
            config.drive.cache_blocks = 4;
        }
        if dice.below(4) == 0 {
            options.commit = Ns::MS;
        }
        if dice.below(12) == 0 {
            config.drive.flush = FlushIs::Lies;
        }
        let mut length = Length::Short;
        // Drives so small that they have to clean up after themselves, and journals that wrap.
        if dice.below(5) == 0 {
            (options.blocks, options.inodes, options.journal) = (160, 64, 64);
            (config.drive.pages, config.drive.spare, length) = (4, 10, Length::Long);
        }
        config.drive.blocks = options.blocks;
        config.mount = Mount::Ext4(options);
        let lives = match dice.below(16) {
            0 => 3,
            1..=4 => 2,
            _ => 1,
        };
        let one = |life: u64| script::script(number ^ (life << 40), length, life == 0);
        Self { lives: (0..lives).map(one).collect(), config, seed: number }
    }
}
