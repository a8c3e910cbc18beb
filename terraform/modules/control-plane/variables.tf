variable "cluster" {
  description = "The cluster's name: value of the tag joinery.sh/cluster and part of the parameters' names."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$", var.cluster))
    error_message = "cluster must be 1 to 40 letters, digits, dots and dashes, beginning with a letter or digit."
  }
}

variable "instance_profile" {
  description = "Name of the instance profile; output of the module iam."
  type        = string
}

variable "security_group_ids" {
  description = "Security groups of the machines."
  type        = list(string)
}

variable "prefix" {
  description = "Path of the parameters; output of the module ssm."
  type        = string
}

variable "architecture" {
  description = "amd64 or arm64; must fit the instance types."
  type        = string
  default     = "amd64"

  validation {
    condition     = contains(["amd64", "arm64"], var.architecture)
    error_message = "architecture must be amd64 or arm64."
  }
}

variable "image_id" {
  description = "An image of Ubuntu 24.04 or 22.04. Null: the newest 24.04 of Canonical's. A newer one never replaces machines."
  type        = string
  default     = null

  validation {
    condition     = var.image_id == null || can(regex("^ami-[0-9a-f]{8,17}$", var.image_id))
    error_message = "image_id must be the id of an image, such as ami-0123456789abcdef0."
  }
}

variable "key_name" {
  description = "Name of an EC2 key pair for SSH; null for none."
  type        = string
  default     = null
}

variable "subnet_ids" {
  description = "Subnets for the machines; several machines go round them."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "subnet_ids must name at least one subnet."
  }
}

variable "machines" {
  description = "1, or 3 behind a network load balancer."
  type        = number
  default     = 1

  validation {
    condition     = contains([1, 3], var.machines)
    error_message = "machines must be 1 or 3: etcd gains nothing from two."
  }
}

variable "vpc_id" {
  description = "The VPC, for the load balancer of three machines."
  type        = string
}

variable "private_ip" {
  description = "Address of a single machine, free in the first subnet. It is the API endpoint, so that a machine in its place takes it over. Null for three machines."
  type        = string
  default     = null

  validation {
    condition     = (var.machines == 1) == (var.private_ip != null)
    error_message = "private_ip must be given for one machine, and only then: three are reached by their load balancer. In an existing network choose a free address of the first subnet."
  }

  validation {
    condition     = var.private_ip == null || can(cidrnetmask("${var.private_ip}/32"))
    error_message = "private_ip must be an IPv4 address, such as 10.42.32.10."
  }
}

variable "instance_type" {
  description = "Type of the machines."
  type        = string
  default     = "t3.xlarge"
}

variable "volume_gib" {
  description = "Size of the root volumes, in GiB; etcd is on them."
  type        = number
  default     = 40

  validation {
    condition     = var.volume_gib >= 20
    error_message = "volume_gib must be at least 20."
  }
}

variable "kubernetes_version" {
  description = "Version of the cluster when it is made, such as 1.35.3. Upgrades are kubeadm's."
  type        = string

  validation {
    condition     = can(regex("^1\\.(3[1-9]|[4-9][0-9])\\.[0-9]+$", var.kubernetes_version))
    error_message = "kubernetes_version must be a whole version of 1.31 or newer without a v, such as 1.35.3."
  }
}

variable "pod_cidr" {
  description = "Addresses of pods."
  type        = string
  default     = "10.244.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.pod_cidr))
    error_message = "pod_cidr must be an IPv4 range, such as 10.244.0.0/16."
  }
}

variable "service_cidr" {
  description = "Addresses of Services."
  type        = string
  default     = "10.96.0.0/12"

  validation {
    condition     = can(cidrnetmask(var.service_cidr))
    error_message = "service_cidr must be an IPv4 range, such as 10.96.0.0/12."
  }
}

variable "certificate_names" {
  description = "Further names and addresses of the API server, for its certificate."
  type        = list(string)
  default     = []
}

# All three encapsulate by default (VXLAN, IP-in-IP, VXLAN), so EC2's source/destination check stays on. Modes that route
# pods' addresses directly (Flannel's host-gw, Calico's CrossSubnet, Cilium's native routing) need it off on every node.
# A launch template has no such field, so Joinery's nodes would drop that traffic: do not use those modes.
variable "pod_network" {
  description = "name: flannel, calico or cilium. version, source (URL or path on the machine) and sha256 of what is installed, where the defaults do not fit."
  type = object({
    name    = optional(string, "flannel")
    version = optional(string)
    source  = optional(string)
    sha256  = optional(string, "")
  })
  default = {}

  validation {
    condition     = contains(["flannel", "calico", "cilium"], var.pod_network.name)
    error_message = "pod_network.name must be flannel, calico or cilium."
  }

  validation {
    condition     = can(regex("^([0-9a-f]{64})?$", var.pod_network.sha256))
    error_message = "pod_network.sha256 must be 64 hexadecimal digits, or empty for no check."
  }

  validation {
    condition     = can(regex("^(https://|/)", coalesce(var.pod_network.source, "/")))
    error_message = "pod_network.source must begin with https://, or be a path on the machine's image."
  }
}

variable "joinery" {
  description = "wheel: where the machines get Joinery, an https:// URL or a path in their image; empty leaves it out. sha256 of it. settings: text of agent.yaml."
  type = object({
    wheel    = optional(string, "")
    sha256   = optional(string, "")
    settings = optional(string, "")
  })
  default = {}

  validation {
    condition     = can(regex("^((https://|/)[^ ?]*/?joinery_agent-[^/ ?]+\\.whl)?$", var.joinery.wheel))
    error_message = "joinery.wheel must be an https:// URL or a path that ends in joinery_agent-VERSION-py3-none-any.whl, or be empty."
  }

  validation {
    condition     = can(regex("^([0-9a-f]{64})?$", var.joinery.sha256))
    error_message = "joinery.sha256 must be 64 hexadecimal digits, or empty for no check."
  }

  validation {
    condition     = var.joinery.wheel == "" || var.joinery.settings != ""
    error_message = "joinery.settings must be given with joinery.wheel; output agent_yaml of the module manifests."
  }
}

variable "kms_key_arn" {
  description = "Key of the ticket for further machines; null for the account's own."
  type        = string
  default     = null
}

variable "termination_protection" {
  description = "Refuse to terminate the machines and to delete the load balancer until it is false again."
  type        = bool
  default     = true
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
