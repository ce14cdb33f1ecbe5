//! The virtio-mmio registers (virtio 1.3, 4.2.2).

use unicell_guest_abi::device;
use virtio_bindings::bindings::virtio_config::{
    VIRTIO_CONFIG_S_ACKNOWLEDGE, VIRTIO_CONFIG_S_DRIVER, VIRTIO_CONFIG_S_DRIVER_OK,
    VIRTIO_CONFIG_S_FAILED, VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_CONFIG_S_NEEDS_RESET,
    VIRTIO_F_VERSION_1,
};
use virtio_bindings::bindings::virtio_mmio as mmio;
use virtio_bindings::bindings::virtio_ring::VIRTIO_RING_F_EVENT_IDX;
use virtio_queue::{Queue, QueueT};

use super::Violation;
use crate::memory::Memory;

const ACKNOWLEDGE: u32 = VIRTIO_CONFIG_S_ACKNOWLEDGE;
const DRIVER: u32 = VIRTIO_CONFIG_S_DRIVER;
const DRIVER_OK: u32 = VIRTIO_CONFIG_S_DRIVER_OK;
const FEATURES_OK: u32 = VIRTIO_CONFIG_S_FEATURES_OK;
const FAILED: u32 = VIRTIO_CONFIG_S_FAILED;
const NEEDS_RESET: u32 = VIRTIO_CONFIG_S_NEEDS_RESET;

const _: () = {
    assert!(mmio::VIRTIO_MMIO_QUEUE_NOTIFY as u64 == device::QUEUE_NOTIFY);
    assert!(device::FEATURES == 1 << VIRTIO_F_VERSION_1 | 1 << VIRTIO_RING_F_EVENT_IDX);
};

/// What the driver has told the device.
pub(super) struct Registers {
    status: u32,
    driver_features: u64,
    device_features_select: u32,
    driver_features_select: u32,
    queue_select: u32,
    pub(super) queues: [Queue; device::QUEUES],
}

/// What a register write asks for beyond itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    None,
    /// Everything that the driver offered is void.
    Reset,
    /// There may be new buffers.
    Notify,
}

impl Registers {
    /// The device as it is handed over: running.
    pub(super) fn running() -> Self {
        Self {
            status: ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK,
            driver_features: device::FEATURES,
            device_features_select: 0,
            driver_features_select: 0,
            queue_select: 0,
            queues: std::array::from_fn(|index| {
                let ring = device::ring_gpa(index);
                let mut queue = new_queue();
                set_address(&mut queue, Ring::Descriptors, ring);
                set_address(&mut queue, Ring::Driver, ring + device::AVAIL_OFFSET);
                set_address(&mut queue, Ring::Device, ring + device::USED_OFFSET);
                queue.set_event_idx(true);
                queue.set_ready(true);
                queue
            }),
        }
    }

    /// Whether the driver may use the queues.
    pub(super) fn is_running(&self) -> bool {
        self.status & (DRIVER_OK | FAILED | NEEDS_RESET) == DRIVER_OK
    }

    /// Marks the device as broken by its driver.
    pub(super) fn needs_reset(&mut self) {
        self.status |= NEEDS_RESET;
    }

    pub(super) fn read(&self, offset: u64) -> Result<u32, Violation> {
        let queue = self.queues.get(self.queue_select as usize);
        Ok(match u32::try_from(offset).unwrap_or(u32::MAX) {
            mmio::VIRTIO_MMIO_MAGIC_VALUE => device::MAGIC,
            mmio::VIRTIO_MMIO_VERSION => device::VERSION,
            mmio::VIRTIO_MMIO_DEVICE_ID => device::DEVICE_ID,
            mmio::VIRTIO_MMIO_VENDOR_ID => device::VENDOR_ID,
            mmio::VIRTIO_MMIO_DEVICE_FEATURES => {
                half(device::FEATURES, self.device_features_select)
            }
            mmio::VIRTIO_MMIO_QUEUE_NUM_MAX => queue.map_or(0, |queue| queue.max_size().into()),
            mmio::VIRTIO_MMIO_QUEUE_READY => queue.map_or(0, |queue| queue.ready().into()),
            // There are no interrupts and no configuration that could change.
            mmio::VIRTIO_MMIO_INTERRUPT_STATUS | mmio::VIRTIO_MMIO_CONFIG_GENERATION => 0,
            mmio::VIRTIO_MMIO_STATUS => self.status,
            // No shared memory region has a length (4.2.2: all ones) or a base.
            mmio::VIRTIO_MMIO_SHM_LEN_LOW
            | mmio::VIRTIO_MMIO_SHM_LEN_HIGH
            | mmio::VIRTIO_MMIO_SHM_BASE_LOW
            | mmio::VIRTIO_MMIO_SHM_BASE_HIGH => u32::MAX,
            _ => return Err(Violation::Register { offset }),
        })
    }

    pub(super) fn write(
        &mut self,
        offset: u64,
        value: u32,
        memory: &Memory,
    ) -> Result<Effect, Violation> {
        match u32::try_from(offset).unwrap_or(u32::MAX) {
            mmio::VIRTIO_MMIO_DEVICE_FEATURES_SEL => self.device_features_select = value,
            mmio::VIRTIO_MMIO_DRIVER_FEATURES_SEL => self.driver_features_select = value,
            mmio::VIRTIO_MMIO_DRIVER_FEATURES => self.accept_features(value)?,
            mmio::VIRTIO_MMIO_QUEUE_SEL => self.queue_select = value,
            mmio::VIRTIO_MMIO_QUEUE_NOTIFY => return Ok(Effect::Notify),
            mmio::VIRTIO_MMIO_INTERRUPT_ACK | mmio::VIRTIO_MMIO_SHM_SEL => {}
            mmio::VIRTIO_MMIO_STATUS => return self.set_status(value),
            register => self.configure_queue(register, value, memory)?,
        }
        Ok(Effect::None)
    }

    fn accept_features(&mut self, value: u32) -> Result<(), Violation> {
        if self.status & (DRIVER | FEATURES_OK) != DRIVER {
            return Err(Violation::Sequence("features accepted at the wrong time"));
        }
        let shift = match self.driver_features_select {
            0 => 0,
            1 => 32,
            _ if value == 0 => return Ok(()),
            _ => {
                return Err(Violation::Sequence(
                    "a feature accepted that was not offered",
                ));
            }
        };
        let others = self.driver_features & !(u64::from(u32::MAX) << shift);
        self.driver_features = others | u64::from(value) << shift;
        Ok(())
    }

    fn set_status(&mut self, value: u32) -> Result<Effect, Violation> {
        if value == 0 {
            *self = Self::reset();
            return Ok(Effect::Reset);
        }
        let known = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK | FAILED;
        let added = value & !self.status;
        let sound = value & !(known | NEEDS_RESET) == 0 && self.status & !value == 0;
        if !sound || added & NEEDS_RESET != 0 {
            return Err(Violation::Sequence("a status bit taken back or unknown"));
        }
        let needed = [
            (DRIVER, ACKNOWLEDGE),
            (FEATURES_OK, DRIVER),
            (DRIVER_OK, FEATURES_OK),
        ];
        for (bit, before) in needed {
            if added & bit != 0 && value & before == 0 {
                return Err(Violation::Sequence("status bits in the wrong order"));
            }
        }
        if added & FEATURES_OK != 0 && !self.features_are_sound() {
            // Left clear: the driver reads it back to learn that it asked too much (3.1.1).
            self.status = value & !FEATURES_OK;
            return Ok(Effect::None);
        }
        if added & DRIVER_OK != 0 && self.status & FEATURES_OK == 0 {
            return Err(Violation::Sequence(
                "a driver that runs without its features",
            ));
        }
        self.status = value;
        let running = added & DRIVER_OK != 0;
        Ok(if running {
            Effect::Notify
        } else {
            Effect::None
        })
    }

    fn features_are_sound(&self) -> bool {
        let accepted = self.driver_features;
        accepted & !device::FEATURES == 0 && accepted & 1 << VIRTIO_F_VERSION_1 != 0
    }

    fn reset() -> Self {
        Self {
            status: 0,
            driver_features: 0,
            device_features_select: 0,
            driver_features_select: 0,
            queue_select: 0,
            queues: std::array::from_fn(|_| new_queue()),
        }
    }

    fn configure_queue(
        &mut self,
        register: u32,
        value: u32,
        memory: &Memory,
    ) -> Result<(), Violation> {
        let ring = match register {
            mmio::VIRTIO_MMIO_QUEUE_DESC_LOW | mmio::VIRTIO_MMIO_QUEUE_DESC_HIGH => {
                Some(Ring::Descriptors)
            }
            mmio::VIRTIO_MMIO_QUEUE_AVAIL_LOW | mmio::VIRTIO_MMIO_QUEUE_AVAIL_HIGH => {
                Some(Ring::Driver)
            }
            mmio::VIRTIO_MMIO_QUEUE_USED_LOW | mmio::VIRTIO_MMIO_QUEUE_USED_HIGH => {
                Some(Ring::Device)
            }
            mmio::VIRTIO_MMIO_QUEUE_NUM | mmio::VIRTIO_MMIO_QUEUE_READY => None,
            _ => {
                return Err(Violation::Register {
                    offset: register.into(),
                });
            }
        };
        let features_ok = self.status & FEATURES_OK != 0;
        let running = self.status & DRIVER_OK != 0;
        let event_idx = self.driver_features & 1 << VIRTIO_RING_F_EVENT_IDX != 0;
        let Some(queue) = self.queues.get_mut(self.queue_select as usize) else {
            return Err(Violation::Sequence(
                "a queue configured that does not exist",
            ));
        };
        if !features_ok || running || queue.ready() {
            return Err(Violation::Sequence("a queue configured at the wrong time"));
        }
        match ring {
            Some(ring) => {
                // The high half of each address is the register after the low one.
                let high = !register.is_multiple_of(8);
                set_half(queue, ring, value, high)
            }
            None if register == mmio::VIRTIO_MMIO_QUEUE_NUM => {
                let size = u16::try_from(value).unwrap_or(0);
                queue.try_set_size(size).map_err(|_| Violation::Rings)
            }
            None => {
                queue.set_event_idx(event_idx);
                queue.set_ready(value == 1);
                let sound = value == 1 && queue.is_valid(memory.ram());
                sound.then_some(()).ok_or(Violation::Rings)
            }
        }
    }
}

/// The three parts of a queue in memory.
#[derive(Clone, Copy)]
enum Ring {
    Descriptors,
    Driver,
    Device,
}

fn new_queue() -> Queue {
    #[expect(clippy::expect_used, reason = "the size is a constant power of two")]
    Queue::new(device::QUEUE_SIZE).expect("a power of two is a queue size")
}

fn half(value: u64, select: u32) -> u32 {
    match select {
        0 => value as u32,
        1 => (value >> 32) as u32,
        _ => 0,
    }
}

fn set_address(queue: &mut Queue, ring: Ring, gpa: u64) {
    let (low, high) = (Some(gpa as u32), Some((gpa >> 32) as u32));
    match ring {
        Ring::Descriptors => queue.set_desc_table_address(low, high),
        Ring::Driver => queue.set_avail_ring_address(low, high),
        Ring::Device => queue.set_used_ring_address(low, high),
    }
}

fn set_half(queue: &mut Queue, ring: Ring, value: u32, high: bool) -> Result<(), Violation> {
    let (align, old) = match ring {
        Ring::Descriptors => (16, queue.desc_table()),
        Ring::Driver => (2, queue.avail_ring()),
        Ring::Device => (4, queue.used_ring()),
    };
    let new = if high {
        old & u64::from(u32::MAX) | u64::from(value) << 32
    } else {
        old & !u64::from(u32::MAX) | u64::from(value)
    };
    if !new.is_multiple_of(align) {
        return Err(Violation::Rings);
    }
    set_address(queue, ring, new);
    Ok(())
}
