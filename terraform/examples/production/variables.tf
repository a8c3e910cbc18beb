variable "region" {
  description = "AWS region."
  type        = string
}

variable "cluster" {
  description = "The cluster's name."
  type        = string
}

variable "kubernetes_version" {
  description = "Version of the cluster when it is made."
  type        = string
}

variable "zones" {
  description = "Availability Zones."
  type        = list(string)
}

variable "control_plane_machines" {
  description = "1 or 3."
  type        = number
  default     = 3
}

variable "base_workers" {
  description = "Fixed workers by name; see the module base-workers."
  type = map(object({
    instance_type = string
    machines      = optional(number, 1)
    labels        = optional(map(string), {})
    taints        = optional(list(string), [])
    volume_gib    = optional(number, 40)
    subnet        = optional(number)
  }))
}

variable "wheel" {
  description = "Where the control plane gets Joinery: an https:// URL, or a path in its image."
  type        = string
}

variable "wheel_sha256" {
  description = "Checksum of the wheel."
  type        = string
}
