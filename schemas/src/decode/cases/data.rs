//! Real records, read from the folder that `FUSOR_DATA` names.
