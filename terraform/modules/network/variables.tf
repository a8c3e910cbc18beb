variable "cluster" {
  description = "The cluster's name: value of the tag joinery.sh/cluster and part of the parameters' names."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$", var.cluster))
    error_message = "cluster must be 1 to 40 letters, digits, dots and dashes, beginning with a letter or digit."
  }
}

variable "vpc_id" {
  description = "An existing VPC to use. Null makes one."
  type        = string
  default     = null
}

variable "subnet_ids" {
  description = "Subnets of the existing VPC for all machines, one or more. They need a way out to the internet, such as a NAT."
  type        = list(string)
  default     = []

  validation {
    condition     = (var.vpc_id == null) == (length(var.subnet_ids) == 0)
    error_message = "vpc_id and subnet_ids go together: give both for an existing network, or neither to make one."
  }
}

variable "tag_subnets" {
  description = "Put the discovery tag on the existing subnets. False when somebody else tags them."
  type        = bool
  default     = true
}

variable "cidr" {
  description = "Addresses of the VPC that is made."
  type        = string
  default     = "10.42.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.cidr)) && try(tonumber(split("/", var.cidr)[1]) >= 16 && tonumber(split("/", var.cidr)[1]) <= 20, false)
    error_message = "cidr must be an IPv4 range of /16 to /20, such as 10.42.0.0/16."
  }
}

variable "zones" {
  description = "Availability Zones of the VPC that is made, such as [\"ap-northeast-2a\", \"ap-northeast-2c\"]."
  type        = list(string)
  default     = []

  validation {
    condition     = var.vpc_id != null || (length(var.zones) >= 1 && length(var.zones) <= 4 && length(distinct(var.zones)) == length(var.zones))
    error_message = "zones must name one to four different Availability Zones when a VPC is made."
  }
}

variable "nat_per_zone" {
  description = "A NAT gateway in each zone. False saves money and lets all zones depend on the first one."
  type        = bool
  default     = false
}

variable "api_cidrs" {
  description = "Addresses beside the nodes' own that may reach the API server, port 6443."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.api_cidrs : can(cidrnetmask(cidr))])
    error_message = "api_cidrs must be IPv4 ranges, such as 203.0.113.0/24."
  }

  validation {
    condition     = !contains(var.api_cidrs, "0.0.0.0/0")
    error_message = "api_cidrs must not be the whole internet; name the ranges that people come from."
  }
}

variable "pod_network" {
  description = "flannel, calico or cilium: which ports the nodes open to the control plane and the reverse."
  type        = string
  default     = "flannel"

  validation {
    condition     = contains(["flannel", "calico", "cilium"], var.pod_network)
    error_message = "pod_network must be flannel, calico or cilium."
  }
}

variable "discovery_tag" {
  description = "Value of the tag karpenter.sh/discovery on subnets and security group, by which EC2NodeClasses find them. Null: the cluster's name."
  type        = string
  default     = null
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
