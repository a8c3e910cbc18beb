variable "cluster" {
  description = "The cluster's name: value of the tag joinery.sh/cluster and part of the parameters' names."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$", var.cluster))
    error_message = "cluster must be 1 to 40 letters, digits, dots and dashes, beginning with a letter or digit."
  }
}

variable "kubernetes_version" {
  description = "Version of the cluster when it is made, such as 1.35.3."
  type        = string
}

variable "network" {
  description = "vpc_id and subnet_ids of an existing network, or cidr and zones of one to make; who may reach the API server. See the module network."
  type = object({
    vpc_id        = optional(string)
    subnet_ids    = optional(list(string), [])
    tag_subnets   = optional(bool, true)
    cidr          = optional(string, "10.42.0.0/16")
    zones         = optional(list(string), [])
    nat_per_zone  = optional(bool, false)
    api_cidrs     = optional(list(string), [])
    discovery_tag = optional(string)
  })
}

variable "control_plane" {
  description = "Machines, type and addresses of the control plane. See the module control-plane."
  type = object({
    machines               = optional(number, 1)
    instance_type          = optional(string, "t3.xlarge")
    volume_gib             = optional(number, 40)
    private_ip             = optional(string)
    certificate_names      = optional(list(string), [])
    pod_cidr               = optional(string, "10.244.0.0/16")
    service_cidr           = optional(string, "10.96.0.0/12")
    termination_protection = optional(bool, true)
  })
  default = {}
}

variable "pod_network" {
  description = "flannel, calico or cilium, with version, source and sha256 where the defaults do not fit. See the module control-plane."
  type = object({
    name    = optional(string, "flannel")
    version = optional(string)
    source  = optional(string)
    sha256  = optional(string, "")
  })
  default = {}
}

variable "base_workers" {
  description = "Fixed workers by name. See the module base-workers."
  type = map(object({
    instance_type = string
    machines      = optional(number, 1)
    labels        = optional(map(string), {})
    taints        = optional(list(string), [])
    volume_gib    = optional(number, 40)
    subnet        = optional(number)
  }))
  default = {}
}

variable "joinery" {
  description = "Where the machines get Joinery (wheel: URL or path, sha256), further settings of agent.yaml, and the first NodePool. See the modules control-plane and manifests."
  type = object({
    wheel    = optional(string, "")
    sha256   = optional(string, "")
    settings = optional(any, {})
    pool     = optional(any, {})
  })
  default = {}
}

variable "image" {
  description = "Architecture and image of the fixed machines, and the key pair for SSH."
  type = object({
    architecture = optional(string, "amd64")
    id           = optional(string)
    key_name     = optional(string)
  })
  default = {}
}

variable "create_kms_key" {
  description = "A KMS key of the cluster's own for the token."
  type        = bool
  default     = false
}

variable "interruption_queue" {
  description = "Make the queue of interruption notices."
  type        = bool
  default     = false
}

variable "access" {
  description = "Rights beside those that joining needs. See the module iam."
  type = object({
    pull_from_ecr          = optional(bool, true)
    additional_policy_arns = optional(map(string), {})
    permissions_boundary   = optional(string)
    create_spot_role       = optional(bool, false)
  })
  default = {}
}

variable "tags" {
  description = "Tags for everything that is made here."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(key, "joinery.sh/")])
    error_message = "tags must not begin with joinery.sh/: admission believes those, so they are set here and nowhere else."
  }
}
